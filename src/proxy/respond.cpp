#include "proxy/respond.h"

#include <algorithm>

#include "revproxyd/pipeline/error_response.h"
#include "revproxyd/pipeline/text_body.h"

namespace revproxyd::proxy {

namespace {

using http::FieldName;

http::Response with_text(http::ResponseHead head, std::string_view text) {
  const bool may_have_content = head.status != 204 && head.status != 304;
  const bool content = may_have_content && !text.empty();
  if (content) head.length = {http::Framing::length, text.size()};
  // An answer to HEAD says what that to GET would.
  if (may_have_content && !content) head.fields.set(FieldName::content_length, "0");
  http::Response response(std::move(head));
  if (content) response.body = std::make_unique<pipeline::TextBody>(text);
  return response;
}

http::Response redirect_to(pipeline::Exchange& exchange, std::uint16_t status,
                           std::string_view location) {
  exchange.notes.why = Code::redirect;
  http::ResponseHead head(exchange.arena());
  head.status = status;
  head.fields.add(FieldName::location, location);
  return with_text(std::move(head), {});
}

http::Response no_host(pipeline::Exchange& exchange) {
  const Error error(Code::malformed_request, Side::downstream, "no host to redirect to");
  return pipeline::error_response(exchange, error);
}

// The asterisk behind a host would be part of its port. OPTIONS of a bare host has it, too.
std::string_view raw_path(const http::RequestHead& head) noexcept {
  return head.target.path.starts_with('/') ? head.target.path : std::string_view("/");
}

std::string expand(const std::string& to, const pipeline::Exchange& exchange,
                   const http::RequestHead& head) {
  std::string out;
  for (std::size_t i = 0; i < to.size();) {
    const std::string_view rest = std::string_view(to).substr(i);
    const auto take = [&](std::string_view name, std::string_view value) {
      if (!rest.starts_with(name)) return false;
      out += value;
      i += name.size();
      return true;
    };
    const std::string query =
        head.target.has_query ? "?" + std::string(head.target.query) : std::string();
    if (take("{scheme}", exchange.scheme() == net::Scheme::https ? "https" : "http")) continue;
    if (take("{host}", head.host) || take("{path}", raw_path(head))) continue;
    if (take("?{query}", query) || take("{query}", head.target.query)) continue;
    out += to[i++];
  }
  return out;
}

// What begins with two slashes, or with what clients take for one, names another host (RFC 3986
// section 4.2), and the path is the client's own.
std::string on_this_host(std::string location) {
  if (location.empty() || location.front() != '/') return location;
  const std::size_t path = std::min(location.find_first_not_of("/\\"), location.size());
  return location.erase(1, path - 1);
}

}  // namespace

Task<http::Response> Respond::handle(pipeline::Exchange& exchange) const {
  exchange.notes.why = Code::respond;
  http::ResponseHead head(exchange.arena());
  head.status = settings_.status;
  for (const auto& [name, value] : settings_.headers) head.fields.add(name, value);
  if (!settings_.body.empty() && !head.fields.has(FieldName::content_type)) {
    head.fields.add(FieldName::content_type, "text/plain; charset=utf-8");
  }
  co_return with_text(std::move(head), settings_.body);
}

Task<http::Response> Redirect::handle(pipeline::Exchange& exchange) const {
  const http::RequestHead& head = exchange.head();
  if (head.host.empty() && settings_.to.find("{host}") != std::string::npos)
    co_return no_host(exchange);
  const std::string location = on_this_host(expand(settings_.to, exchange, head));
  const std::string_view kept = exchange.arena().copy(location);
  co_return redirect_to(exchange, settings_.status, kept);
}

Task<http::Response> HttpsRedirect::handle(pipeline::Exchange& exchange) const {
  const http::RequestHead& head = exchange.head();
  if (head.host.empty()) co_return no_host(exchange);
  std::string location = "https://" + std::string(head.host);
  if (port_ != 443) location += ":" + std::to_string(port_);
  location += raw_path(head);
  if (head.target.has_query) location += "?" + std::string(head.target.query);
  const std::string_view kept = exchange.arena().copy(location);
  co_return redirect_to(exchange, 308, kept);
}

}  // namespace revproxyd::proxy
