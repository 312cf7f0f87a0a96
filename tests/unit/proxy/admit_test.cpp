#include "proxy/admit.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/pipeline/text_body.h"
#include "tests/support/fake_connection.h"
#include "tests/support/hand_runner.h"
#include "tests/unit/proxy/exchange_fixture.h"

namespace revproxyd::proxy {
namespace {

using testing::OneExchange;

class Certificate final : public net::TlsInfo {
 public:
  explicit Certificate(std::string sni) { server_name = std::move(sni); }
  bool covers(std::string_view host) const noexcept override {
    return host == "a.example" || host == "b.example";
  }
};

std::string get(std::string_view host, std::string_view path = "/") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n";
}

Code admitted(OneExchange& exchange, const Runtime& worker = Runtime()) {
  const auto result = admit(*exchange, worker);
  return result ? Code::none : result.error().code();
}

Code admitted_over_tls(std::string_view host, const char* sni) {
  const Certificate certificate(sni);
  pipeline::Client client = OneExchange::ordinary_client();
  client.tls = &certificate;
  OneExchange exchange(get(host), client);
  return admitted(exchange);
}

Code routed(std::string_view head, const RouteSettings& route,
            const ListenerSettings& listener = ListenerSettings()) {
  OneExchange exchange(head);
  const auto result = admit_to_route(*exchange, route, listener);
  return result ? Code::none : result.error().code();
}

TEST(Admit, TakesAnOrdinaryRequest) {
  OneExchange exchange(get("a"));
  EXPECT_EQ(admitted(exchange), Code::none);
}

TEST(Admit, RefusesWhatTheCodecRefused) {
  OneExchange exchange(get("a"));
  exchange->refuse(Error(Code::header_too_large, Side::downstream));
  EXPECT_EQ(admitted(exchange), Code::header_too_large);
}

TEST(Admit, RefusesConnectAndTrace) {
  OneExchange connect("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
  EXPECT_EQ(admitted(connect), Code::method_refused);
  OneExchange trace("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(admitted(trace), Code::method_refused);
}

TEST(Admit, TakesAMethodThatItDoesNotKnow) {
  OneExchange exchange("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(admitted(exchange), Code::none);
}

TEST(Admit, RefusesNewWorkWhileMemoryIsShort) {
  std::atomic<bool> shedding = true;
  Runtime worker;
  worker.shedding = &shedding;
  OneExchange exchange(get("a"));
  EXPECT_EQ(admitted(exchange, worker), Code::memory_limit);
  shedding = false;
  EXPECT_EQ(admitted(exchange, worker), Code::none);
}

TEST(Admit, TakesAnyHostThatTheCertificateCovers) {
  EXPECT_EQ(admitted_over_tls("a.example", "a.example"), Code::none);
  EXPECT_EQ(admitted_over_tls("b.example", "a.example"), Code::none);
}

TEST(Admit, RefusesAHostThatTheCertificateDoesNotCover) {
  EXPECT_EQ(admitted_over_tls("c.example", "a.example"), Code::host_mismatch);
}

TEST(Admit, TakesAnyHostWhereNoNameWasAskedFor) {
  EXPECT_EQ(admitted_over_tls("c.example", ""), Code::none);
}

TEST(AdmitToRoute, RefusesAnEncodedSlashUnlessTheRouteAllowsIt) {
  RouteSettings route;
  EXPECT_EQ(routed(get("a", "/x%2Fy"), route), Code::encoded_slash);
  EXPECT_EQ(routed(get("a", "/x%5cy"), route), Code::encoded_slash);
  route.allow_encoded_slash = true;
  EXPECT_EQ(routed(get("a", "/x%2Fy"), route), Code::none);
}

TEST(AdmitToRoute, HoldsTheAnnouncedLengthToTheLimitOfListenerOrRoute) {
  const std::string ten = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
  ListenerSettings listener;
  listener.limits.max_body = 9;
  RouteSettings route;
  EXPECT_EQ(routed(ten, route, listener), Code::body_too_large);
  listener.limits.max_body = 10;
  EXPECT_EQ(routed(ten, route, listener), Code::none);
  route.max_body = 9;
  EXPECT_EQ(routed(ten, route, listener), Code::body_too_large);
  route.max_body = 0;
  listener.limits.max_body = 1;
  EXPECT_EQ(routed(ten, route, listener), Code::none) << "the route lifts the limit";
}

// Notes the rules that it is given.
class RuledStream final : public http::ServerStream {
 public:
  RuledStream(std::string_view request, CancelScope& parent)
      : inner_(std::make_shared<test::Told>(), request, parent) {}
  Arena& arena() noexcept override { return inner_.arena(); }
  CancelScope& scope() noexcept override { return inner_.scope(); }
  const std::optional<Error>& refusal() const noexcept override { return inner_.refusal(); }
  http::Request take_request() override { return inner_.take_request(); }
  void set_body_rules(const http::BodyRules& rules) noexcept override { body = rules; }
  void set_write_rules(Duration limit, std::uint64_t rate) noexcept override {
    stall = limit;
    min_rate = rate;
  }
  Task<Result<void>> send_interim(const http::ResponseHead& head) override {
    return inner_.send_interim(head);
  }
  void stage_head(const http::ResponseHead& head) override { inner_.stage_head(head); }
  Task<Result<void>> send_body(http::Piece piece) override { return inner_.send_body(piece); }
  Task<Result<void>> flush() override { return inner_.flush(); }
  Task<Result<void>> finish(const http::Fields& trailers) override {
    return inner_.finish(trailers);
  }
  void reset(Code reason) noexcept override { inner_.reset(reason); }
  bool head_sent() const noexcept override { return inner_.head_sent(); }
  http::StreamBytes bytes() const noexcept override { return inner_.bytes(); }

  http::BodyRules body;
  Duration stall{0};
  std::uint64_t min_rate = 0;

 private:
  test::FakeStream inner_;
};

class AdmitToRouteRules : public ::testing::Test {
 protected:
  void admit(std::string_view fields = {}) {
    const std::string head = "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
    stream_ = std::make_unique<RuledStream>(head, runner_.scope());
    pipeline::Exchange exchange(*stream_, client_, snapshot_);
    if (with_body_) exchange.request().body = std::make_unique<pipeline::TextBody>("");
    EXPECT_TRUE(admit_to_route(exchange, route_, listener_));
    tunnel_ = exchange.tunnel_timeout;
  }

  test::HandRunner runner_;
  std::unique_ptr<RuledStream> stream_;
  bool with_body_ = false;
  pipeline::Client client_;
  Snapshot snapshot_{std::make_shared<const Plan>(PlanSettings(), std::vector<PlanUpstream>()),
                     nullptr, 1};
  RouteSettings route_;
  ListenerSettings listener_;
  Duration tunnel_{0};
};

TEST_F(AdmitToRouteRules, AreTheListenersByDefault) {
  admit();
  EXPECT_EQ(stream_->body.max_bytes, 100U * 1024 * 1024);
  EXPECT_EQ(stream_->body.stall, Duration(30000));
  EXPECT_EQ(stream_->body.stall_code, Code::body_timeout);
  EXPECT_EQ(stream_->body.min_rate, 240U);
  EXPECT_EQ(stream_->stall, Duration(30000));
  EXPECT_EQ(stream_->min_rate, 240U);
  EXPECT_EQ(tunnel_, Duration(3600000));
}

TEST_F(AdmitToRouteRules, AreTheRoutesWhereItSetsThem) {
  route_.max_body = 1;
  route_.body_timeout = Duration(2);
  route_.write_timeout = Duration(3);
  route_.tunnel_timeout = Duration(4);
  route_.min_rate = 5;
  admit();
  EXPECT_EQ(stream_->body.max_bytes, 1U);
  EXPECT_EQ(stream_->body.stall, Duration(2));
  EXPECT_EQ(stream_->stall, Duration(3));
  EXPECT_EQ(tunnel_, Duration(4));
  EXPECT_EQ(stream_->body.min_rate, 5U);
  EXPECT_EQ(stream_->min_rate, 5U);
}

TEST_F(AdmitToRouteRules, LetACallBeAsSilentAsATunnelAndAsSlowAsItLikes) {
  route_.tunnel_timeout = Duration(4);
  admit("Content-Type: application/grpc\r\n");
  EXPECT_EQ(stream_->body.max_bytes, 100U * 1024 * 1024);
  EXPECT_EQ(stream_->body.stall, Duration(4));
  EXPECT_EQ(stream_->body.stall_code, Code::tunnel_timeout);
  EXPECT_EQ(stream_->body.min_rate, 0U);
  EXPECT_EQ(stream_->stall, Duration(4));
  EXPECT_EQ(stream_->min_rate, 0U);
}

TEST_F(AdmitToRouteRules, TreatGrpcWebAsAnyOtherRequest) {
  admit("Content-Type: application/grpc-web\r\n");
  EXPECT_EQ(stream_->body.stall, Duration(30000));
  EXPECT_EQ(stream_->body.stall_code, Code::body_timeout);
  EXPECT_EQ(stream_->body.min_rate, 240U);
  EXPECT_EQ(stream_->min_rate, 240U);
}

TEST_F(AdmitToRouteRules, LeaveATunnelThatTheRouteAllowsToItsOwnTime) {
  with_body_ = true;
  route_.upgrade = {"websocket"};
  admit("Connection: Upgrade\r\nUpgrade: websocket\r\n");
  EXPECT_EQ(stream_->body.max_bytes, 0U);
  EXPECT_EQ(stream_->body.stall, Duration(0));
  EXPECT_EQ(stream_->body.min_rate, 0U);
  EXPECT_EQ(stream_->min_rate, 240U);
}

TEST_F(AdmitToRouteRules, HoldForAnUpgradeThatTheRouteDoesNotAllow) {
  with_body_ = true;
  admit("Connection: Upgrade\r\nUpgrade: other\r\n");
  EXPECT_EQ(stream_->body.stall, Duration(30000));
  EXPECT_EQ(stream_->body.min_rate, 240U);
}

}  // namespace
}  // namespace revproxyd::proxy
