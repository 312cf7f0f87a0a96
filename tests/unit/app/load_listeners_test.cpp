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

}  // namespace
}  // namespace revproxyd::app
