#include <gtest/gtest.h>

#include "revproxyd/tls/handshake.h"
#include "revproxyd/tls/ticket_keys.h"
#include "tls/client_context.h"
#include "tls/session_cache.h"
#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;

TimePoint clock_now{};
TimePoint test_now() { return clock_now; }

class Resumption : public TlsTest {
 protected:
  Resumption() {
    clock_now = TimePoint{} + 1000h;
    tickets_ = std::make_shared<TicketKeys>(&test_now);
  }

  // A connection on which a byte travels both ways, so that the client has read the tickets; true
  // when it was resumed.
  bool resumed(const ServerContext& listener, const ClientContext& upstream,
               std::string_view name = "a.test") {
    const Ends ends = handshake(listener, upstream, name);
    if (!ends.server || !ends.client) {
      ADD_FAILURE() << ends.server_error.text() << " / " << ends.client_error.text();
      return false;
    }
    EXPECT_EQ(pass(*ends.server, *ends.client, "x"), "x");
    EXPECT_EQ(pass(*ends.client, *ends.server, "y"), "y");
    EXPECT_EQ(ends.server->tls()->resumed, ends.client->tls()->resumed);
    EXPECT_EQ(ends.server->tls()->server_name, name);
    last_client_certificate_ = ends.server->tls()->client_certificate;
    return ends.server->tls()->resumed;
  }

  bool last_client_certificate_ = false;
};

TEST_F(Resumption, WorksOverContextsThatShareKeysAndPolicy) {
  const auto entry = ca_.issue("a", {.names = {"a.test"}});
  for (const bool tls12 : {false, true}) {
    const auto upstream = trusting(ca_, tls12);
    EXPECT_FALSE(resumed(*server({entry}), *upstream));
    EXPECT_TRUE(resumed(*server({entry}), *upstream)) << "another context, as after a reload";
    EXPECT_TRUE(resumed(*server({entry}), *upstream));
  }
}

// The session does not tell which of them it began with.
TEST_F(Resumption, CoversTheHostsThatEveryCertificateOfTheNameCovers) {
  const auto listener =
      server({ca_.issue("rsa", {.names = {"a.test", "b.test"}, .kind = Kind::rsa}),
              ca_.issue("ec", {.names = {"a.test", "b.test", "e.test"}})});
  const auto upstream = trusting(ca_);
  EXPECT_FALSE(resumed(*listener, *upstream));
  const Ends ends = handshake(*listener, *upstream, "a.test");
  ASSERT_TRUE(ends.server && ends.client) << ends.server_error.text();
  ASSERT_TRUE(ends.server->tls()->resumed);
  EXPECT_TRUE(ends.server->tls()->covers("b.test"));
  EXPECT_FALSE(ends.server->tls()->covers("e.test"));
}

TEST_F(Resumption, GoesOnWhereTheListenerOffersAnotherProtocol) {
  const auto entry = ca_.issue("a", {.names = {"a.test"}});
  for (const bool tls12 : {false, true}) {
    alpn_ = {"http/1.1", "h2"};
    const auto upstream = trusting(ca_, tls12);
    alpn_ = {"http/1.1"};
    EXPECT_FALSE(resumed(*server({entry}), *upstream));
    alpn_ = {"h2", "http/1.1"};
    const auto both = server({entry});
    const Ends ends = handshake(*both, *upstream, "a.test");
    ASSERT_TRUE(ends.server && ends.client) << ends.server_error.text();
    EXPECT_TRUE(ends.server->tls()->resumed);
    EXPECT_EQ(ends.server->tls()->alpn, "h2");
    EXPECT_EQ(ends.client->tls()->alpn, "h2");
  }
}

TEST_F(Resumption, FailsWithOtherKeys) {
  const auto entry = ca_.issue("a", {.names = {"a.test"}});
  const auto upstream = trusting(ca_);
  EXPECT_FALSE(resumed(*server({entry}), *upstream));
  tickets_ = std::make_shared<TicketKeys>(&test_now);
  EXPECT_FALSE(resumed(*server({entry}), *upstream));
}

TEST_F(Resumption, SurvivesOneTurnOfTheKeysAndRenewsTheTicket) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  for (const bool tls12 : {false, true}) {
    const auto upstream = trusting(ca_, tls12);
    EXPECT_FALSE(resumed(*listener, *upstream));
    clock_now += 13h;
    EXPECT_TRUE(resumed(*listener, *upstream)) << "an old key opens";
    clock_now += 13h;
    EXPECT_TRUE(resumed(*listener, *upstream))
        << "the first key is gone, so the ticket was renewed";
    clock_now += 37h;
    EXPECT_FALSE(resumed(*listener, *upstream)) << "all keys are gone";
  }
}

TEST_F(Resumption, DoesNotOutliveTheCertificateOfTheServer) {
  constexpr int kSeconds = 4;
  const auto end = Clock::now() + std::chrono::seconds(kSeconds) + 1s;
  const auto listener =
      server({ca_.issue("a", {.names = {"a.test"}, .days_after = 0, .seconds_after = kSeconds})});
  const auto tls12 = trusting(ca_, true);
  const auto tls13 = trusting(ca_);
  for (const auto& upstream : {tls12, tls13}) {
    EXPECT_FALSE(resumed(*listener, *upstream));
    EXPECT_TRUE(resumed(*listener, *upstream));
  }
  while (Clock::now() < end) loop_.run_for(100ms);
  for (const auto& upstream : {tls12, tls13}) {
    const Ends ends = handshake(*listener, *upstream, "a.test");
    EXPECT_FALSE(ends.client);
    EXPECT_EQ(ends.client_error.code(), Code::certificate_rejected);
  }
}

TEST_F(Resumption, DoesNotCrossClientCertificatePolicies) {
  const auto entry = ca_.issue("a", {.names = {"a.test"}});
  const Authority others(dir_, "others");
  const auto mine = ca_.issue("mine", {.names = {"client"}});
  const auto open = server({entry});
  const auto optional = server({entry}, {.client_auth = {ClientAuthMode::optional, ca_.file()}});
  const auto required = server({entry}, {.client_auth = {ClientAuthMode::required, ca_.file()}});
  for (const bool tls12 : {false, true}) {
    const auto upstream = client({.ca = ca_.file(), .cert = mine.cert, .key = mine.key}, tls12);
    EXPECT_FALSE(resumed(*open, *upstream));
    EXPECT_FALSE(resumed(*required, *upstream));
    EXPECT_TRUE(last_client_certificate_);
    EXPECT_FALSE(resumed(*optional, *upstream));
    EXPECT_TRUE(resumed(*optional, *upstream));
    EXPECT_TRUE(last_client_certificate_) << "the ticket carries what was verified";
  }
  // A client without a certificate cannot bring the open listener's session to the one that
  // requires one.
  const auto anonymous = trusting(ca_);
  EXPECT_FALSE(resumed(*open, *anonymous));
  EXPECT_EQ(handshake(*required, *anonymous, "a.test").server_error.code(),
            Code::certificate_rejected);
  // The same mode with other authorities is another policy.
  const auto trusting_others =
      server({entry}, {.client_auth = {ClientAuthMode::required, others.file()}});
  const auto with_mine = client({.ca = ca_.file(), .cert = mine.cert, .key = mine.key});
  EXPECT_FALSE(resumed(*required, *with_mine));
  EXPECT_EQ(handshake(*trusting_others, *with_mine, "a.test").server_error.code(),
            Code::certificate_rejected);
}

TEST_F(Resumption, DoesNotCrossCertificates) {
  const auto listener =
      server({ca_.issue("a", {.names = {"a.test"}}), ca_.issue("b", {.names = {"b.test"}}),
              ca_.issue("w", {.names = {"*.w.test"}})});
  const auto upstream = trusting(ca_);
  // The client side is made to offer the session of one name for another, as an attacker's client
  // would.
  const auto offer = [&](const std::string& from, const std::string& to) {
    const Sockets sockets = connected();
    const std::string peer = "|unix:";
    auto& cache = upstream->state().sessions;
    SessionPtr session = cache.take(from + peer);
    EXPECT_TRUE(session) << from;
    if (session) cache.put(to + peer, std::move(session));
    const Ends ends = handshake(*listener, *upstream, to, sockets);
    EXPECT_TRUE(ends.server) << ends.server_error.text();
    return ends.server && ends.server->tls()->resumed;
  };
  EXPECT_FALSE(resumed(*listener, *upstream, "a.test"));
  EXPECT_FALSE(offer("a.test", "b.test"));
  EXPECT_FALSE(resumed(*listener, *upstream, "x.w.test"));
  EXPECT_TRUE(offer("x.w.test", "y.w.test")) << "one certificate, one policy";
}

TEST_F(Resumption, KeysTurnEveryTwelveHoursAndAreKeptForTwiceAsLong) {
  TicketKeys keys(&test_now);
  const auto first = keys.current();
  clock_now += 11h;
  EXPECT_EQ(keys.current().name, first.name);
  EXPECT_TRUE(keys.find(first.name)->current);
  clock_now += 1h;
  EXPECT_FALSE(keys.find(first.name)->current) << "due, although no other has been made yet";
  const auto second = keys.current();
  EXPECT_NE(second.name, first.name);
  EXPECT_NE(second.cipher, first.cipher);
  EXPECT_NE(second.mac, first.mac);
  EXPECT_FALSE(keys.find(first.name)->current);
  EXPECT_TRUE(keys.find(second.name)->current);
  clock_now += 12h;
  EXPECT_FALSE(keys.find(first.name).has_value());
  EXPECT_TRUE(keys.find(second.name).has_value());
}

TEST_F(Resumption, SessionsOfManyServersAreBounded) {
  SessionCache cache;
  for (std::size_t i = 0; i < SessionCache::kServers + 10; ++i)
    cache.put("s" + std::to_string(i), SessionPtr(SSL_SESSION_new()));
  for (std::size_t i = 0; i < SessionCache::kSessionsOfServer + 10; ++i)
    cache.put("one", SessionPtr(SSL_SESSION_new()));
  EXPECT_EQ(cache.take("one"), nullptr) << "an empty session cannot be resumed, and is dropped";
  EXPECT_EQ(cache.take("none"), nullptr);
}

}  // namespace
}  // namespace revproxyd::tls
