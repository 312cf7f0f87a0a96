#pragma once
// Status codes and their reason phrases (RFC 9110 section 15 and the IANA registry).

#include <cstdint>
#include <string_view>

namespace revproxyd::http {

/// The registered phrase, or "Unknown". Static storage.
std::string_view reason_phrase(std::uint16_t status) noexcept;

/// An interim response: 100..199 except 101.
constexpr bool is_interim(std::uint16_t status) noexcept {
  return status >= 100 && status < 200 && status != 101;
}

}  // namespace revproxyd::http
