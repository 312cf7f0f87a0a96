#pragma once
// What the fuzz targets of the HTTP/1 codec share.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "http/h1/parser.h"

namespace revproxyd::fuzz {

/// Stops the run where `holds` is false; unlike assert, in every build.
inline void check(bool holds) {
  if (!holds) __builtin_trap();
}

/// Sizes of the pieces that input is cut into.
inline constexpr std::size_t kCuts[] = {1, 2, 3, 7, 16};

/// A copy without slack behind it, so that a read over the end is seen.
inline std::vector<char> exact(std::string_view text) { return {text.begin(), text.end()}; }
inline std::string_view view(const std::vector<char>& bytes) {
  return {bytes.data(), bytes.size()};
}

struct Verdict {
  std::size_t length = 0;
  std::size_t skipped = 0;
  Code code = Code::none;
  std::string_view text;

  bool operator==(const Verdict&) const = default;
};

/// What a scanner says when `data` grows by `step` bytes a call.
inline Verdict scan(http::h1::Kind kind, const http::h1::HeadLimits& limits, std::string_view data,
                    std::size_t step) {
  http::h1::HeadScanner scanner(kind, limits);
  for (std::size_t size = 0; size < data.size();) {
    size += size + step > data.size() ? data.size() - size : step;
    const auto length = scanner.scan(data.substr(0, size));
    if (!length) return {0, 0, length.error().code(), length.error().text()};
    if (*length != 0) return {*length, scanner.skipped(), Code::none, {}};
  }
  return {};
}

/// The verdict of one call, after checking that cuts do not change it.
inline Verdict scan_any_way(http::h1::Kind kind, const http::h1::HeadLimits& limits,
                            std::string_view data) {
  const Verdict whole = scan(kind, limits, data, data.size() + 1);
  for (std::size_t step : kCuts) check(scan(kind, limits, data, step) == whole);
  return whole;
}

using FieldList = std::vector<std::pair<std::string_view, std::string_view>>;

/// Names and values but for the fields that a serializer writes by itself.
inline FieldList end_to_end(const http::Fields& fields) {
  FieldList list;
  for (const http::Field& field : fields) {
    switch (field.known) {
      case http::FieldName::host:
      case http::FieldName::connection:
      case http::FieldName::content_length:
      case http::FieldName::transfer_encoding:
      case http::FieldName::upgrade:
      case http::FieldName::date: break;
      default: list.emplace_back(field.name, field.value);
    }
  }
  return list;
}

}  // namespace revproxyd::fuzz
