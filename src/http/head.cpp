#include "revproxyd/http/head.h"

#include <array>
#include <cstddef>

namespace revproxyd::http {

namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Method::other)> kMethods = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE",
};

}  // namespace

Method lookup_method(std::string_view token) noexcept {
  for (std::size_t i = 0; i < kMethods.size(); ++i) {
    if (kMethods[i] == token) return static_cast<Method>(i);
  }
  return Method::other;
}

bool is_safe(Method method) noexcept {
  return method == Method::get || method == Method::head || method == Method::options ||
         method == Method::trace;
}

}  // namespace revproxyd::http
