#pragma once
// Private keys of a known kind, read in a tenth of the time.

#include <string>

#include "tls/openssl.h"

namespace revproxyd::tls {

/// For OpenSSL (pem_password_cb): an encrypted key cannot be asked for its password, the daemon has
/// no terminal. Sets `asked`, a bool, unless that is null.
int no_password(char* into, int size, int writing, void* asked) noexcept;

/// The key in `pem`, if it is one of the kind that OpenSSL calls `kind` ("RSA", "EC") and not
/// encrypted; else null, and why is for PEM_read_bio_PrivateKey() to say. That one makes and asks
/// the decoders of every kind for each key, which is most of the time of a start with thousands of
/// certificates; this keeps those of one kind for the thread.
KeyPtr decode_key(const std::string& pem, const char* kind);

}  // namespace revproxyd::tls
