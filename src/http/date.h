#pragma once
// HTTP-date (RFC 9110 section 5.6.7).

#include <cstdint>
#include <ctime>
#include <optional>
#include <string_view>

namespace revproxyd::http {

/// The preferred form (IMF-fixdate) of now, written at most once a second per thread; the view
/// lives until the next call.
std::string_view date_now() noexcept;

/// Formats `when` into the 29 bytes at `out`.
void format_date(std::time_t when, char* out) noexcept;

/// Reads IMF-fixdate, RFC 850 and asctime forms.
std::optional<std::time_t> parse_date(std::string_view text) noexcept;

}  // namespace revproxyd::http
