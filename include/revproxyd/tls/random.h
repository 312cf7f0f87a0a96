#pragma once
// Bytes that nobody can predict: request ids, keys, tokens.

#include <cstdint>
#include <span>

namespace revproxyd::tls {

/// Fills `into` from the generator of OpenSSL. Small requests are served from a reserve of the
/// thread. Ends the process when there is no randomness to be had, because everything that is made
/// of it would be guessable.
void fill_random(std::span<std::uint8_t> into) noexcept;

}  // namespace revproxyd::tls
