#pragma once
// Terminal handlers that answer from the configuration: respond, redirect, and the redirect of a
// plain listener.

#include <string>

#include "revproxyd/pipeline/handler.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::proxy {

/// `respond: {status, headers, body}`. Settings must outlive it.
class Respond final : public pipeline::Handler {
 public:
  explicit Respond(const RespondSettings& settings) noexcept : settings_(settings) {}
  Task<http::Response> handle(pipeline::Exchange& exchange) const override;

 private:
  const RespondSettings& settings_;
};

/// `redirect: {to, status}`. Settings must outlive it.
class Redirect final : public pipeline::Handler {
 public:
  explicit Redirect(const RedirectSettings& settings) noexcept : settings_(settings) {}
  Task<http::Response> handle(pipeline::Exchange& exchange) const override;

 private:
  const RedirectSettings& settings_;
};

/// 308 to the same target on `port` over HTTPS. A request that names no host cannot be redirected
/// and gets 400.
class HttpsRedirect final : public pipeline::Handler {
 public:
  explicit HttpsRedirect(std::uint16_t port) noexcept : port_(port) {}
  Task<http::Response> handle(pipeline::Exchange& exchange) const override;

 private:
  std::uint16_t port_;
};

}  // namespace revproxyd::proxy
