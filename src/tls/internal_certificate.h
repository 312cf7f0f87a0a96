#pragma once
// The certificate of `tls: internal`.

#include <memory>

#include "tls/credential.h"

namespace revproxyd::tls {

/// A self-signed P-256 certificate for localhost and this machine's name, made in memory at first
/// use and shared by the process, so that a reload changes nothing for who has accepted it. Lasts a
/// year; asked for in its last 30 days, another takes its place. Null when OpenSSL fails.
std::shared_ptr<const Credential> internal_credential(SystemTime now);

}  // namespace revproxyd::tls
