#pragma once
// Header and trailer fields: a flat list in arrival order whose known names are interned, so that
// asking for `Content-Length` compares one byte and never a string.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "revproxyd/base/arena.h"

namespace revproxyd::http {

/// Fields that the proxy itself looks at. name() gives the canonical spelling.
enum class FieldName : std::uint8_t {
  unknown,
  accept,
  accept_encoding,
  age,
  alt_svc,
  authorization,
  cache_control,
  client_cert,
  client_cert_chain,
  connection,
  content_encoding,
  content_length,
  content_range,
  content_type,
  cookie,
  date,
  etag,
  expect,
  expires,
  forwarded,
  host,
  http2_settings,
  if_match,
  if_modified_since,
  if_none_match,
  if_range,
  if_unmodified_since,
  keep_alive,
  last_modified,
  location,
  max_forwards,
  origin,
  pragma,
  proxy,
  proxy_authenticate,
  proxy_authorization,
  proxy_connection,
  proxy_status,
  range,
  referer,
  retry_after,
  server,
  set_cookie,
  te,
  trailer,
  transfer_encoding,
  upgrade,
  user_agent,
  vary,
  via,
  www_authenticate,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_port,
  x_forwarded_proto,
  x_real_ip,
  x_request_id,
};
inline constexpr std::size_t kFieldNameCount =
    static_cast<std::size_t>(FieldName::x_request_id) + 1;
static_assert(kFieldNameCount <= 64, "FieldNames has a bit for each");

/// Canonical spelling, e.g. "Content-Length"; empty for unknown. Static storage.
std::string_view name(FieldName field) noexcept;

/// The same in lower case, as HTTP/2 has it.
std::string_view lower_name(FieldName field) noexcept;

/// The interned name of `text` (any case), or FieldName::unknown.
FieldName lookup(std::string_view text) noexcept;

struct Field {
  std::string_view name;   // as it arrived, or as it was added
  std::string_view value;  // without surrounding OWS
  FieldName known = FieldName::unknown;
};

/// Known names, a bit for each.
using FieldNames = std::uint64_t;
constexpr FieldNames names_of(std::initializer_list<FieldName> names) noexcept {
  FieldNames bits = 0;
  for (FieldName name : names) bits |= FieldNames{1} << static_cast<unsigned>(name);
  return bits;
}
constexpr bool holds(FieldNames names, FieldName name) noexcept {
  return name != FieldName::unknown && (names >> static_cast<unsigned>(name) & 1U) != 0;
}

/// A list of fields over an Arena, which must outlive it and everything read from it. Moves are
/// cheap; copies are explicit (clone_into). Views given to add() and set() must live as long as the
/// arena; use the arena's copy() for anything shorter.
class Fields {
 public:
  explicit Fields(Arena& arena) noexcept : arena_(&arena) {}
  Fields(Fields&& other) noexcept;
  Fields& operator=(Fields&& other) noexcept;
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  const Field* begin() const noexcept { return data_; }
  const Field* end() const noexcept { return data_ + size_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// False means certainly absent; true means that find() will succeed.
  bool has(FieldName field) const noexcept { return holds(present_, field); }
  /// Whether there are fields whose names are not known.
  bool has_unknown() const noexcept { return (present_ & names_of({FieldName::unknown})) != 0; }
  /// First field of that name, or null.
  const Field* find(FieldName field) const noexcept;
  const Field* find(std::string_view name) const noexcept;
  /// Value of the first field of that name, or an empty view.
  std::string_view get(FieldName field) const noexcept;
  std::string_view get(std::string_view name) const noexcept;
  std::size_t count(FieldName field) const noexcept;
  /// What all fields of that name say and `last` behind them, with `separator` in between; empty
  /// values are left out. Copied into the arena once, or not at all where there is but one.
  std::string_view join(FieldName field, std::string_view separator,
                        std::string_view last = {}) const;

  void add(FieldName field, std::string_view value) { append({http::name(field), value, field}); }
  void add(std::string_view name, std::string_view value) { append({name, value, lookup(name)}); }
  /// As add() for a caller that has looked the name up already.
  void append(const Field& field) {
    if (size_ == capacity_) grow();
    data_[size_++] = field;
    present_ |= names_of({field.known});
  }
  /// Replaces every field of that name by one, at the place of the first.
  void set(FieldName field, std::string_view value) {
    assert(field != FieldName::unknown);
    if (has(field)) {
      replace({http::name(field), value, field});
    } else {
      add(field, value);
    }
  }
  void set(std::string_view name, std::string_view value);
  /// Removes every field of that name; the number removed.
  std::size_t remove(FieldName field) noexcept { return remove_all(names_of({field})); }
  std::size_t remove(std::string_view name) noexcept;
  /// Removes every field with one of these names; the number removed.
  std::size_t remove_all(FieldNames names) noexcept {
    constexpr FieldNames kUnknown = names_of({FieldName::unknown});
    return (present_ & names & ~kUnknown) != 0 ? take_out(names) : 0;
  }
  /// Removes every field for which `predicate(const Field&)` holds; one pass.
  template <typename Predicate>
  std::size_t remove_if(Predicate predicate) {
    std::size_t kept = 0;
    present_ = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      if (predicate(static_cast<const Field&>(data_[i]))) continue;
      present_ |= names_of({data_[i].known});
      data_[kept++] = data_[i];
    }
    const std::size_t removed = size_ - kept;
    size_ = static_cast<std::uint32_t>(kept);
    return removed;
  }
  void clear() noexcept {
    size_ = 0;
    present_ = 0;
  }

  /// A deep copy whose names and values live in `arena`.
  Fields clone_into(Arena& arena) const;
  Arena& arena() const noexcept { return *arena_; }

 private:
  void grow();
  /// Puts it in the place of the first of its name and removes the others; whether there was one.
  bool replace(const Field& by);
  std::size_t take_out(FieldNames names) noexcept;

  Arena* arena_;
  Field* data_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;
  FieldNames present_ = 0;
};

}  // namespace revproxyd::http
