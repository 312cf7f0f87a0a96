#pragma once
// What a route asks of a request besides host and path, compiled. All of it must hold.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/filters/regex.h"
#include "revproxyd/http/fields.h"
#include "revproxyd/proxy/router.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::proxy {

/// A condition on the values that go by one name.
class ValueCondition {
 public:
  /// Throws std::invalid_argument for a bad regex.
  explicit ValueCondition(const ValuePattern& pattern);

  ValueKind kind() const noexcept { return kind_; }
  const std::string& name() const noexcept { return name_; }
  http::FieldName field() const noexcept { return field_; }
  /// Whether a value that is there satisfies the condition. A regex may match anywhere in it.
  bool takes(std::string_view value) const noexcept;
  /// For ValueKind::text only: what the value must be.
  const std::string& text() const noexcept { return text_; }

 private:
  ValueKind kind_;
  http::FieldName field_;  // of a header condition: the interned name
  std::string name_;
  std::string text_;
  std::unique_ptr<const re2::RE2> regex_;
};

class Conditions {
 public:
  /// Throws std::invalid_argument for a bad regex.
  explicit Conditions(const MatchSettings& match);

  bool hold(const MatchInput& input) const noexcept;

 private:
  bool method_holds(const http::RequestHead& head) const noexcept;
  bool listener_holds(std::string_view listener) const noexcept;

  bool any_method_;
  std::uint32_t methods_ = 0;               // one bit a http::Method
  std::vector<std::string> other_methods_;  // tokens without a http::Method of their own
  std::optional<net::Scheme> scheme_;
  std::vector<std::string> listeners_;
  std::vector<net::Cidr> sources_;
  std::vector<ValueCondition> headers_;
  std::vector<ValueCondition> query_;
  std::vector<ValueCondition> cookies_;
};

/// Fields of any case; any of the repeated ones may satisfy.
bool header_holds(const ValueCondition& condition, const http::Fields& fields) noexcept;

/// Parameters are split at '&' and the first '=', then '+' is a space and escapes are decoded (a
/// broken one stands for itself). Names are case-sensitive. Any of the repeated ones may satisfy. A
/// parameter without '=' is present with an empty value.
bool query_holds(const ValueCondition& condition, std::string_view query) noexcept;

/// Cookie pairs (RFC 6265 section 4.2.1) of all Cookie fields. Names are case-sensitive, quotes
/// belong to the value, a piece without '=' names nothing. Any of the repeated ones may satisfy.
bool cookie_holds(const ValueCondition& condition, const http::Fields& fields) noexcept;

}  // namespace revproxyd::proxy
