#pragma once
// Field sections for the tests of the header map.

#include <string>
#include <utility>
#include <vector>

#include "http/h2/header_map.h"

namespace revproxyd::http::h2::testing {

using List = std::vector<std::pair<std::string, std::string>>;

inline const List kGet{
    {":method", "GET"}, {":scheme", "https"}, {":authority", "a.example"}, {":path", "/x"}};
inline const List kOk{{":status", "200"}};

inline List operator+(List list, const List& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

/// The list without the field `name`.
inline List without(List list, std::string_view name) {
  std::erase_if(list, [name](const auto& field) { return field.first == name; });
  return list;
}

/// The list with another value of the field `name`.
inline List with(List list, std::string_view name, const std::string& value) {
  for (auto& field : list) {
    if (field.first == name) field.second = value;
  }
  return list;
}

/// A section that has taken a list; what is read of it lives as long as this.
class Taken {
 public:
  Taken(SectionKind kind, const List& list, const SectionLimits& limits = {})
      : section_(arena_, limits) {
    section_.open(kind);
    for (const auto& [name, value] : list) section_.add(name, value);
  }
  Section& section() noexcept { return section_; }
  Result<RequestHead> request(bool ended = true) { return section_.take_request(ended); }
  Result<ResponseHead> response(Method method = Method::get, bool ended = false) {
    return section_.take_response(method, ended);
  }
  Arena& arena() noexcept { return arena_; }

 private:
  Arena arena_;
  Section section_;
};

/// What a request is refused with; none when it is taken.
inline Code request_fault(const List& list, bool ended = true, const SectionLimits& limits = {}) {
  Taken taken(SectionKind::request, list, limits);
  const auto head = taken.request(ended);
  return head ? Code::none : head.error().code();
}

inline Code response_fault(const List& list, Method method = Method::get, bool ended = false,
                           const SectionLimits& limits = {}) {
  Taken taken(SectionKind::response, list, limits);
  const auto head = taken.response(method, ended);
  return head ? Code::none : head.error().code();
}

inline Code trailer_fault(const List& list) {
  return Taken(SectionKind::request_trailers, list).section().error().code();
}

}  // namespace revproxyd::http::h2::testing
