#include "proxy/upstream_request.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/proxy/exchange_fixture.h"

namespace revproxyd::proxy {
namespace {

using testing::OneExchange;
using upstream::HostHeader;

std::string target_of(std::string_view line) {
  OneExchange exchange(std::string(line) + " HTTP/1.1\r\nHost: a\r\n\r\n");
  return std::string(upstream_target(*exchange));
}

upstream::Endpoint endpoint(std::string host, std::uint16_t port,
                            net::Scheme scheme = net::Scheme::http) {
  upstream::ServerSettings server;
  server.url.host = std::move(host);
  server.url.port = port;
  server.url.scheme = scheme;
  return upstream::Endpoint("u", server);
}

std::string host_of(const upstream::HostHeaderSettings& settings, const upstream::Endpoint& server,
                    std::string_view head = "GET / HTTP/1.1\r\nHost: Shop.Example:81\r\n\r\n") {
  OneExchange exchange(head);
  return std::string(upstream_host(*exchange, settings, server));
}

std::uint64_t key_of(const upstream::BalanceSettings& settings, std::string_view fields,
                     std::string_view target = "/") {
  OneExchange exchange("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" +
                       std::string(fields) + "\r\n");
  const auto key = pick_key(*exchange, settings);
  return key.has_hash ? key.hash : 0;
}

TEST(UpstreamTarget, IsTheClientsOwnBytes) {
  EXPECT_EQ(target_of("GET /a//%62/./c?x=%20"), "/a//%62/./c?x=%20");
  EXPECT_EQ(target_of("GET /?"), "/?");
}

TEST(UpstreamTarget, IsWhatAFilterMadeOfIt) {
  OneExchange exchange("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
  exchange->target = "/b?c";
  EXPECT_EQ(upstream_target(*exchange), "/b?c");
}

TEST(UpstreamTarget, OfAnAbsoluteFormIsItsOriginForm) {
  EXPECT_EQ(target_of("GET http://a/b?c"), "/b?c");
  EXPECT_EQ(target_of("GET http://a"), "/");
  EXPECT_EQ(target_of("GET http://a?c"), "/?c");
}

TEST(UpstreamTarget, OfOptionsIsTheAsteriskWhereTheServerAsAWholeIsMeant) {
  EXPECT_EQ(target_of("OPTIONS *"), "*");
  EXPECT_EQ(target_of("OPTIONS http://a"), "*");
  EXPECT_EQ(target_of("OPTIONS http://a/"), "/");
  EXPECT_EQ(target_of("OPTIONS http://a?c"), "/?c");
}

TEST(UpstreamTarget, OfOptionsIsThePathEvenWhenThatEndsLikeTheHost) {
  EXPECT_EQ(target_of("OPTIONS http://a/a"), "/a");
}

TEST(UpstreamHost, IsKeptAsTheClientSentIt) {
  EXPECT_EQ(host_of({}, endpoint("server", 8080)), "Shop.Example:81");
}

TEST(UpstreamHost, IsThatOfTheServerWhenAskedFor) {
  EXPECT_EQ(host_of({HostHeader::upstream, ""}, endpoint("server", 8080)), "server:8080");
  EXPECT_EQ(host_of({HostHeader::upstream, ""}, endpoint("server.", 80)), "server");
}

TEST(UpstreamHost, IsTheConfiguredValue) {
  EXPECT_EQ(host_of({HostHeader::value, "fixed"}, endpoint("server", 80)), "fixed");
}

TEST(UpstreamHost, IsTheServersWhereAnOldClientNamesNone) {
  EXPECT_EQ(host_of({}, endpoint("server", 8080), "GET / HTTP/1.0\r\n\r\n"), "server:8080");
}

TEST(PickKey, IsAbsentUnlessTheMethodIsHash) {
  OneExchange exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_FALSE(pick_key(*exchange, {}).has_hash);
}

TEST(PickKey, FollowsTheAddressOfTheClientNotOfTheProxyBeforeIt) {
  const upstream::BalanceSettings settings{upstream::BalanceMethod::hash,
                                           upstream::HashKey::client_ip, ""};
  OneExchange one("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  OneExchange other("GET /x HTTP/1.1\r\nHost: b\r\n\r\n");
  EXPECT_EQ(pick_key(*one, settings).hash, pick_key(*other, settings).hash);
  other->set_address(*net::Address::ip("192.0.2.99", 0));
  EXPECT_NE(pick_key(*one, settings).hash, pick_key(*other, settings).hash);
}

TEST(PickKey, IsAbsentForAClientWithoutAnAddress) {
  const upstream::BalanceSettings settings{upstream::BalanceMethod::hash,
                                           upstream::HashKey::client_ip, ""};
  pipeline::Client client = OneExchange::ordinary_client();
  client.peer = *net::Address::unix_path("/run/x.sock");
  OneExchange exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n", client);
  EXPECT_FALSE(pick_key(*exchange, settings).has_hash);
  exchange->set_address(*net::Address::ip("192.0.2.99", 0));
  EXPECT_TRUE(pick_key(*exchange, settings).has_hash);
}

TEST(PickKey, FollowsAHeaderAndIsAbsentWithoutIt) {
  const upstream::BalanceSettings settings{upstream::BalanceMethod::hash, upstream::HashKey::header,
                                           "X-User"};
  EXPECT_EQ(key_of(settings, "X-User: 7\r\n"), key_of(settings, "x-user: 7\r\nY: 1\r\n"));
  EXPECT_NE(key_of(settings, "X-User: 7\r\n"), key_of(settings, "X-User: 8\r\n"));
  EXPECT_EQ(key_of(settings, ""), 0U);
}

TEST(PickKey, FollowsTheTargetWithItsQuery) {
  const upstream::BalanceSettings settings{upstream::BalanceMethod::hash, upstream::HashKey::uri,
                                           ""};
  EXPECT_EQ(key_of(settings, "X: 1\r\n", "/a?b"), key_of(settings, "", "/a?b"));
  EXPECT_NE(key_of(settings, "", "/a?b"), key_of(settings, "", "/a?c"));
}

TEST(PickKey, IsTheSameForBothFormsOfATarget) {
  const upstream::BalanceSettings settings{upstream::BalanceMethod::hash, upstream::HashKey::uri,
                                           ""};
  for (const auto& [absolute, origin] :
       {std::pair("http://h/a?b", "/a?b"), std::pair("http://h", "/"), std::pair("http://h/", "/"),
        std::pair("http://h?a=/b0", "/?a=/b0"), std::pair("http://h?", "/?"),
        std::pair("http://h/a?b=://c/d", "/a?b=://c/d")}) {
    EXPECT_NE(key_of(settings, "", origin), 0U) << origin;
    EXPECT_EQ(key_of(settings, "", absolute), key_of(settings, "", origin)) << absolute;
  }
  OneExchange bare("OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n");
  OneExchange asterisk("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(pick_key(*bare, settings).hash, pick_key(*asterisk, settings).hash);
}

TEST(PickKey, FollowsACookieAmongOthers) {
  const upstream::BalanceSettings settings{upstream::BalanceMethod::hash, upstream::HashKey::cookie,
                                           "sid"};
  const std::uint64_t key = key_of(settings, "Cookie: sid=7\r\n");
  EXPECT_NE(key, 0U);
  EXPECT_EQ(key_of(settings, "Cookie: a=1; sid=7; b=2\r\n"), key);
  EXPECT_EQ(key_of(settings, "Cookie: a=1\r\nCookie: b=2;sid=7\r\n"), key);
  EXPECT_NE(key_of(settings, "Cookie: sid=8\r\n"), key);
  EXPECT_EQ(key_of(settings, "Cookie: xsid=7; sid\r\n"), 0U);
}

class NoBytes final : public http::Body {
 public:
  Task<Result<http::Piece>> read() override { co_return http::Piece({}, true); }
  bool ready() const noexcept override { return true; }
};

constexpr std::string_view kWebSocket =
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";

TEST(SettleUpgrade, KeepsATokenThatTheRouteListsInAnyCase) {
  OneExchange exchange(kWebSocket);
  exchange->request().body = std::make_unique<NoBytes>();
  http::RequestHead& head = exchange->head();
  RouteSettings route;
  route.upgrade = {"websocket"};
  head.fields.remove(http::FieldName::upgrade);
  settle_upgrade(*exchange, route);
  EXPECT_EQ(head.upgrade, "WebSocket");
  EXPECT_EQ(head.fields.get(http::FieldName::upgrade), "WebSocket");
  EXPECT_NE(exchange->request().body, nullptr);
}

TEST(SettleUpgrade, KeepsThoseOfAListThatTheRouteLists) {
  RouteSettings route;
  route.upgrade = {"foo", "websocket"};
  for (const auto& [offered, kept] :
       {std::pair("websocket, foo", "websocket, foo"), std::pair("bar,h2c , Foo", "Foo"),
        std::pair("foo ,websocket/13", "foo"), std::pair("foo,,\t, websocket", "foo, websocket"),
        std::pair("bar, baz", "")}) {
    OneExchange exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: " +
                         std::string(offered) + "\r\n\r\n");
    exchange->request().body = std::make_unique<NoBytes>();
    EXPECT_EQ(opens_tunnel(exchange->request(), route), !std::string(kept).empty()) << offered;
    settle_upgrade(*exchange, route);
    EXPECT_EQ(exchange->head().upgrade, kept) << offered;
  }
}

TEST(SettleUpgrade, MakesAnOrdinaryRequestOfATokenThatIsNotListed) {
  OneExchange exchange(kWebSocket);
  exchange->request().body = std::make_unique<NoBytes>();
  RouteSettings route;
  route.upgrade = {"other"};
  settle_upgrade(*exchange, route);
  EXPECT_EQ(exchange->head().upgrade, "");
  EXPECT_EQ(exchange->request().body, nullptr);
}

TEST(SettleUpgrade, ARequestWithABodyKeepsItAndLosesTheUpgrade) {
  OneExchange exchange(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: Upgrade\r\nUpgrade: "
      "websocket\r\n\r\n");
  exchange->request().body = std::make_unique<NoBytes>();
  RouteSettings route;
  route.upgrade = {"websocket"};
  settle_upgrade(*exchange, route);
  EXPECT_EQ(exchange->head().upgrade, "");
  EXPECT_NE(exchange->request().body, nullptr);
}

}  // namespace
}  // namespace revproxyd::proxy
