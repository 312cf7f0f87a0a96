#pragma once
// Which TLS library is in use.

#include <string_view>

namespace revproxyd::tls {

/// The name and version of the library that was loaded, such as "OpenSSL 3.0.17 1 Jul 2025".
std::string_view library_version() noexcept;

}  // namespace revproxyd::tls
