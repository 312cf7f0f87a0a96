#include "revproxyd/tls/version.h"

#include <openssl/crypto.h>

namespace revproxyd::tls {

std::string_view library_version() noexcept { return OpenSSL_version(OPENSSL_VERSION); }

}  // namespace revproxyd::tls
