// Health checks of servers that speak HTTP/2.

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

constexpr const char* kPace = "interval: 100ms, timeout: 200ms, rise: 2, fall: 2";

/// One message of gRPC: HealthCheckResponse with this status, 1 = SERVING.
std::string health_message(char status) { return std::string("\0\0\0\0\2\x08", 6) + status; }

void answer_call(const H2Request& request, std::string_view message, const std::string& status) {
  request->read_body();
  request->head(200, {{"content-type", "application/grpc"}});
  if (!message.empty()) request->data(message);
  request->trailers({{"grpc-status", status}});
}

/// Waits until requests get this status.
bool becomes(const Daemon& daemon, int status) {
  return wait_until([&] { return fetch(daemon.port()).status == status; });
}

/// A server whose answers to checks the test decides.
struct Checked {
  explicit Checked(std::string check, std::function<void(const H2Request&)> sick, H2Script well,
                   const H2UpstreamOptions& options = {})
      : proxy(
            [this, sick = std::move(sick), well = std::move(well)](const H2Request& request) {
              if (request->request().path() == "/") return request->respond("ok");
              (healthy ? well : sick)(request);
            },
            completed(options, check)) {}

  static H2UpstreamOptions completed(H2UpstreamOptions options, const std::string& check) {
    if (!options.settings.empty()) options.settings += ", ";
    options.settings += "health_check: { " + check + ", " + kPace + " }";
    return options;
  }

  void follow() {
    EXPECT_TRUE(becomes(proxy.daemon, 200));
    healthy = false;
    EXPECT_TRUE(becomes(proxy.daemon, 503));
    healthy = true;
    EXPECT_TRUE(becomes(proxy.daemon, 200));
  }

  std::atomic<bool> healthy = true;
  H2Upstream proxy;
};

}  // namespace

TEST(H2UpstreamHealth, ChecksByHttpFollowTheServer) {
  Checked checked(
      "path: /healthz", [](const H2Request& request) { request->respond("", 500); },
      [](const H2Request& request) { request->respond("fine"); });
  checked.follow();
}

TEST(H2UpstreamHealth, ChecksByHttpFollowTheServerUnderTls) {
  Certificates authority;
  Checked checked(
      "path: /healthz", [](const H2Request& request) { request->respond("", 500); },
      [](const H2Request& request) { request->respond("fine"); }, under_tls(authority));
  checked.follow();
  EXPECT_EQ(checked.proxy.origin.failed_handshakes(), 0U);
}

TEST(H2UpstreamHealth, ResetsAndSilenceAreFailures) {
  Checked reset(
      "path: /healthz", [](const H2Request& request) { request->reset(h2::kInternalError); },
      [](const H2Request& request) { request->respond("fine"); });
  reset.follow();
  Checked silent(
      "path: /healthz", [](const H2Request&) {},
      [](const H2Request& request) { request->respond("fine"); });
  silent.follow();
}

TEST(H2UpstreamHealth, CallsOfGrpcFollowTheServer) {
  Checked checked(
      "type: grpc, service: shop.Cart, host: cart.test",
      [](const H2Request& request) { answer_call(request, health_message(2), "0"); },
      [](const H2Request& request) { answer_call(request, health_message(1), "0"); });
  checked.follow();
  for (const H2Message& asked : checked.proxy.origin.requests()) {
    if (asked.path() == "/") continue;
    EXPECT_EQ(asked.method(), "POST");
    EXPECT_EQ(asked.path(), "/grpc.health.v1.Health/Check");
    EXPECT_EQ(asked.field(":authority"), "cart.test");
    EXPECT_EQ(asked.field("content-type"), "application/grpc");
    EXPECT_EQ(asked.field("te"), "trailers");
    EXPECT_EQ(asked.body, std::string("\0\0\0\0\x0b\x0a\x09shop.Cart", 16));
    break;
  }
}

TEST(H2UpstreamHealth, OtherAnswersToCallsOfGrpcAreFailures) {
  const std::vector<H2Script> rows{
      [](const H2Request& request) { answer_call(request, {}, "12"); },
      [](const H2Request& request) { answer_call(request, health_message(1), "2"); },
      [](const H2Request& request) { answer_call(request, {}, "0"); },
      [](const H2Request& request) { answer_call(request, "short", "0"); },
      [](const H2Request& request) { request->respond("SERVING"); },
      [](const H2Request& request) {
        request->head(200, {{"content-type", "application/grpc"}, {"grpc-status", "12"}}, true);
      },
  };
  for (std::size_t row = 0; row < rows.size(); ++row) {
    SCOPED_TRACE(row);
    Checked checked("type: grpc", rows[row],
                    [](const H2Request& request) { answer_call(request, health_message(1), "0"); });
    EXPECT_TRUE(becomes(checked.proxy.daemon, 200));
    checked.healthy = false;
    EXPECT_TRUE(becomes(checked.proxy.daemon, 503));
  }
}

}  // namespace revproxyd::testing
