#include <gtest/gtest.h>

#include "tests/support/upstream_servers.h"

namespace revproxyd::upstream {
namespace {

using test::pick;
using test::servers;

TEST(First, TakesTheFirstServerOfTheFileWhateverTheWeights) {
  auto all = test::balancer(BalanceMethod::first, servers({1, 100, 100}));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(pick(*all), 0U);
}

TEST(First, GoesDownTheFileAndBackUp) {
  const auto set = servers({1, 1, 1});
  auto all = test::balancer(BalanceMethod::first, set);
  set[0]->mark_down();
  EXPECT_EQ(pick(*all), 1U);
  set[1]->take_out(test::kNow);
  EXPECT_EQ(pick(*all), 2U);
  set[0]->mark_up();
  EXPECT_EQ(pick(*all), 0U);
}

TEST(First, SpillsOverToTheNextWhenTheFirstIsBusy) {
  ServerSettings settings = test::server("http://small");
  settings.max_connections = 1;
  test::Servers set{std::make_shared<Endpoint>("test", settings)};
  set.push_back(servers({1})[0]);
  auto all = test::balancer(BalanceMethod::first, set);
  ASSERT_TRUE(set[0]->try_acquire_connection());
  EXPECT_EQ(pick(*all), 1U);
  set[0]->release_connection();
  EXPECT_EQ(pick(*all), 0U);
}

}  // namespace
}  // namespace revproxyd::upstream
