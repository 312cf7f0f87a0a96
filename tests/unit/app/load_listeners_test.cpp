// What listeners take from the rest of the configuration, and what they may not share with it.

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/app/loading.h"

namespace revproxyd::app {
namespace {

using namespace test;

TEST(LoadListeners, AnotherLimitOfTheMemoryOfTheProcessLeavesListenersWhatTheyAre) {
  for (const std::string& rest :
       {std::string(kListener), std::string("certificates: [ { cert: a.pem, key: a.key } ]\n")}) {
    const Settings none = good(rest);
    const Settings some = good(rest + "limits: { memory: 1GiB }\n");
    EXPECT_EQ(some.limits.memory, 1ULL << 30);
    EXPECT_EQ(none.listeners, some.listeners);
  }
}

TEST(LoadListeners, WithoutPeersNobodyMustSendAProxyHeader) {
  const Settings bare = good("listeners: [ { address: ':80', proxy_protocol: {} } ]\n");
  EXPECT_TRUE(bare.listeners[0].proxy_protocol_from.empty());
  EXPECT_EQ(bare.listeners, good("listeners: [ { address: ':80' } ]\n").listeners);
  EXPECT_EQ(bare.listeners, good(print_effective(bare)).listeners);
}

TEST(LoadListeners, OnePathIsOnePlaceHoweverItIsWritten) {
  const auto said = [](const std::string& text) { return load_text(text, "x").report.text(); };
  for (const char* same : {"/run/./u.sk", "/run/../run/u.sk", "/run//u.sk"}) {
    const std::string other(same);
    EXPECT_TRUE(holds(
        said("listeners: [ { address: 'unix:/run/u.sk' }, { address: 'unix:" + other + "' } ]\n"),
        "x:1:56: error: two listeners at 'unix:" + other + "'"))
        << same;
    const std::string listener = "listeners: [ { address: 'unix:" + other + "' } ]\n";
    EXPECT_TRUE(holds(said(listener + "admin: { socket: /run/u.sk }\n"), "the admin socket is at"))
        << same;
    EXPECT_TRUE(holds(said(listener + "log: { path: /run/u.sk }\n"), "a log is written to"))
        << same;
    EXPECT_TRUE(holds(said(std::string(kListener) + "access_log: { path: /run/u.sk }\n" +
                           "admin: { socket: " + other + " }\n"),
                      "a log is written to"))
        << same;
  }
  good("listeners: [ { address: 'unix:/run/u.sk' }, { address: 'unix:/run/./v.sk' } ]\n");
}

}  // namespace
}  // namespace revproxyd::app
