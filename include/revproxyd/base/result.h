#pragma once
// A value or the Error that took its place: the subset of std::expected (C++23) that the data plane
// needs.

#include <cassert>
#include <optional>
#include <type_traits>
#include <utility>

#include "revproxyd/base/error.h"

namespace revproxyd {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Error error) noexcept : error_(error) {}  // NOLINT: implicit by design
  template <typename U = T>
  requires(std::is_constructible_v<T, U&&> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
           !std::is_same_v<std::remove_cvref_t<U>, Error>)
      Result(U&& value)  // NOLINT: implicit by design
      : value_(std::in_place, std::forward<U>(value)) {}

  bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  T& operator*() & noexcept { return get(); }
  const T& operator*() const& noexcept { return get(); }
  T&& operator*() && noexcept { return std::move(get()); }
  T* operator->() noexcept { return &get(); }
  const T* operator->() const noexcept { return &get(); }
  T& value() & noexcept { return get(); }
  const T& value() const& noexcept { return get(); }
  T&& value() && noexcept { return std::move(get()); }

  const Error& error() const noexcept {
    assert(!has_value());
    return error_;
  }

 private:
  T& get() noexcept {
    assert(has_value());
    return *value_;
  }
  const T& get() const noexcept {
    assert(has_value());
    return *value_;
  }
  // Not a variant, whose moves go through a table of functions.
  std::optional<T> value_;
  Error error_{Code::none};
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() noexcept : error_(Code::none) {}
  Result(Error error) noexcept : error_(error) {}  // NOLINT: implicit by design

  bool has_value() const noexcept { return error_.code() == Code::none; }
  explicit operator bool() const noexcept { return has_value(); }
  const Error& error() const noexcept {
    assert(!has_value());
    return error_;
  }

 private:
  Error error_;
};

/// Drops a result on purpose; `why` is for the reader.
template <typename T>
void ignore(T&&, const char* /*why*/) noexcept {}

}  // namespace revproxyd
