// Certificates of clients: what is asked for, and what servers are told of it.

#include <string>

#include <gtest/gtest.h>

#include "tests/unit/app/loading.h"

namespace revproxyd::app {
namespace {

using namespace test;
using tls::ClientForward;

std::string listener(const std::string& auth) {
  return "listeners: [ { address: \":443\", tls: { client_auth: { " + auth +
         " } } } ]\ncertificates: [ { cert: a.pem, key: a.key } ]\n" + route("to: http://a");
}

TEST(LoadClientAuth, TellsServersNothingUnlessTold) {
  const auto forward = [](const std::string& auth) {
    const Settings s = good(listener(auth));
    EXPECT_EQ(s.listeners, good(print_effective(s)).listeners);
    return s.listeners[0].tls->client_auth.forward;
  };
  EXPECT_EQ(forward("mode: required, ca: ca.pem"), ClientForward::none);
  EXPECT_EQ(forward("mode: required, ca: ca.pem, forward: none"), ClientForward::none);
  EXPECT_EQ(forward("mode: required, ca: ca.pem, forward: leaf"), ClientForward::leaf);
  EXPECT_EQ(forward("mode: optional, ca: ca.pem, forward: chain"), ClientForward::chain);
}

TEST(LoadClientAuth, RefusesOtherWords) {
  const auto report = [](const std::string& auth) {
    const LoadResult result = load_text(listener(auth), "proxy.yaml");
    EXPECT_FALSE(result.ok()) << auth;
    return result.report.text();
  };
  EXPECT_TRUE(holds(report("mode: required, ca: ca.pem, forward: true"), "forward"));
  EXPECT_TRUE(holds(report("mode: required, ca: ca.pem, foward: leaf"), "did you mean 'forward'"));
}

TEST(LoadClientAuth, WarnsWhereNothingCanBeTold) {
  const LoadResult result = load_text(listener("mode: none, forward: leaf"), "proxy.yaml");
  EXPECT_TRUE(result.ok());
  EXPECT_TRUE(holds(result.report.text(), "'forward' has no effect while 'mode' is none"))
      << result.report.text();
}

}  // namespace
}  // namespace revproxyd::app
