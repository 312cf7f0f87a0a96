#pragma once
// A digest for identities and validators.

#include <array>
#include <cstdint>

#include "revproxyd/base/bytes.h"

namespace revproxyd::tls {

/// SHA-256 (FIPS 180-4) of `bytes`.
std::array<std::uint8_t, 32> sha256(Bytes bytes) noexcept;

}  // namespace revproxyd::tls
