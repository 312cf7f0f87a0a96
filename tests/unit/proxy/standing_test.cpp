#include "proxy/standing.h"

#include <gtest/gtest.h>

namespace revproxyd::proxy {
namespace {

ListenerSettings listener(std::string address, std::string name, bool redirects = false) {
  ListenerSettings out;
  out.address.text = std::move(address);
  out.name = std::move(name);
  out.redirect_https = redirects;
  return out;
}

PlanSettings plan(std::uint64_t generation, std::vector<ListenerSettings> listeners) {
  PlanSettings out;
  out.generation = generation;
  out.listeners = std::move(listeners);
  return out;
}

// Accepted by the listener "web" of :80, from 192.0.2.1.
class Standing : public ::testing::Test {
 protected:
  void SetUp() override {
    client_.settings = std::make_shared<const ListenerSettings>(listener(":80", "web", true));
    client_.listener = client_.settings->name;
    client_.peer = *net::Address::ip("192.0.2.1", 1234);
  }
  Connection client_;
};

TEST_F(Standing, APeerIsTrustedWhileTheConfigurationTrustsIt) {
  PlanSettings trusting = plan(1, {});
  trusting.trusted_proxies.ranges.push_back(*net::Cidr::parse("192.0.2.0/24"));
  EXPECT_TRUE(standing_under(trusting, client_).trusted);
  EXPECT_FALSE(standing_under(plan(2, {}), client_).trusted);
  trusting.generation = 3;
  EXPECT_TRUE(standing_under(trusting, client_).trusted);
}

TEST_F(Standing, APeerOnAUnixSocketIsTrustedWhereThoseAre) {
  client_.peer = *net::Address::unix_path("/run/peer.sock");
  PlanSettings trusting = plan(1, {});
  trusting.trusted_proxies.ranges = {*net::Cidr::parse("0.0.0.0/0"), *net::Cidr::parse("::/0")};
  EXPECT_FALSE(standing_under(trusting, client_).trusted);
  trusting.generation = 2;
  trusting.trusted_proxies.unix_sockets = true;
  EXPECT_TRUE(standing_under(trusting, client_).trusted);
}

TEST_F(Standing, AListenerGoesByItsNewNameWhereverItStands) {
  const PlanSettings renamed = plan(1, {listener(":81", "web"), listener(":80", "front")});
  EXPECT_EQ(standing_under(renamed, client_).listener, "front");
  EXPECT_EQ(standing_under(renamed, client_).listener, "front");
}

TEST_F(Standing, AListenerAtAPathIsTheSameHoweverItIsWritten) {
  ListenerSettings before = listener("unix:/run//x/a.sock", "old");
  before.address.path = "/run//x/a.sock";
  client_.settings = std::make_shared<const ListenerSettings>(before);
  ListenerSettings now = listener("unix:/run/./x/a.sock", "new");
  now.address.path = "/run/./x/a.sock";
  EXPECT_EQ(standing_under(plan(1, {now}), client_).listener, "new");
  EXPECT_EQ(listener_identity(now), listener_identity(before));
}

TEST(SameListener, AreThoseOfOneIdentity) {
  std::vector<ListenerSettings> all{listener(":80", "a"), listener(":80", "b"),
                                    listener(":0", "a"),  listener(":0", "b"),
                                    listener(":0", "a"),  listener("127.0.0.1:0", "a")};
  for (const std::string path : {"/run/a", "/run//a", "/run/b"}) {
    all.push_back(listener("unix:" + path, "a"));
    all.back().address.path = path;
  }
  for (const auto& one : all) {
    for (const auto& other : all)
      EXPECT_EQ(same_listener(one, other), listener_identity(one) == listener_identity(other))
          << listener_identity(one) << " and " << listener_identity(other);
  }
  EXPECT_TRUE(same_listener(all[0], all[1]));
  EXPECT_FALSE(same_listener(all[2], all[3]));
  EXPECT_TRUE(same_listener(all[2], all[4]));
  EXPECT_TRUE(same_listener(all[6], all[7]));
}

TEST_F(Standing, AListenerRedirectsWhileTheConfigurationSaysSo) {
  EXPECT_TRUE(standing_under(plan(1, {listener(":80", "web", true)}), client_).redirect_https);
  EXPECT_FALSE(standing_under(plan(2, {listener(":80", "web")}), client_).redirect_https);
}

TEST_F(Standing, AListenerThatIsGoneKeepsItsName) {
  const PlanSettings without = plan(1, {listener(":81", "other", true)});
  EXPECT_EQ(standing_under(without, client_).listener, "web");
}

// Otherwise its clients would be told in clear what no configuration serves in clear.
TEST_F(Standing, AListenerThatIsGoneOrHasTlsNowRedirectsWhileThereIsTlsToGoTo) {
  ListenerSettings secure = listener(":443", "tls");
  secure.tls.emplace();
  ListenerSettings same = listener(":80", "web");
  same.tls.emplace();
  EXPECT_TRUE(standing_under(plan(1, {secure}), client_).redirect_https);
  EXPECT_TRUE(standing_under(plan(2, {same}), client_).redirect_https);
  EXPECT_FALSE(standing_under(plan(3, {listener(":81", "other")}), client_).redirect_https);
}

}  // namespace
}  // namespace revproxyd::proxy
