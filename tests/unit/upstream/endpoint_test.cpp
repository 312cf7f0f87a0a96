#include "revproxyd/upstream/endpoint.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/upstream_servers.h"

namespace revproxyd::upstream {
namespace {

using std::chrono::milliseconds;
using test::kNow;
using test::server;

ServerSettings limited(std::uint32_t max_connections) {
  ServerSettings settings = server("http://a");
  settings.max_connections = max_connections;
  return settings;
}

void run_threads(int count, const std::function<void()>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(body);
  for (std::thread& thread : threads) thread.join();
}

TEST(Endpoint, KeepsWhatTheSettingsSay) {
  ServerSettings settings = server("http://a:81", 7, true);
  settings.max_connections = 3;
  const Endpoint endpoint("shop", settings);
  EXPECT_EQ(endpoint.upstream(), "shop");
  EXPECT_EQ(endpoint.url().text, "http://a:81");
  EXPECT_EQ(endpoint.weight(), 7U);
  EXPECT_TRUE(endpoint.backup());
  EXPECT_EQ(endpoint.max_connections(), 3U);
}

TEST(Endpoint, IsUsableFromTheBeginning) {
  const Endpoint endpoint("shop", server("http://a"));
  EXPECT_TRUE(endpoint.usable(kNow));
  EXPECT_TRUE(endpoint.usable(TimePoint{}));
}

TEST(Endpoint, UpdateChangesWeightBackupAndLimitButKeepsCounters) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.begin_request();
  endpoint.mark_down();
  ServerSettings settings = server("http://a", 9, true);
  settings.max_connections = 5;
  endpoint.update(settings);
  EXPECT_EQ(endpoint.weight(), 9U);
  EXPECT_TRUE(endpoint.backup());
  EXPECT_EQ(endpoint.max_connections(), 5U);
  EXPECT_EQ(endpoint.active_requests(), 1U);
  EXPECT_EQ(endpoint.availability(kNow), Availability::down);
}

TEST(Endpoint, CountsAWeightOfZeroAsOne) {
  Endpoint endpoint("shop", server("http://a", 0));
  EXPECT_EQ(endpoint.weight(), 1U);
  endpoint.update(server("http://a", 0));
  EXPECT_EQ(endpoint.weight(), 1U);
}

TEST(Endpoint, IsTakenOutForOneSecondAfterARefusedConnect) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.take_out(kNow);
  EXPECT_EQ(endpoint.availability(kNow), Availability::taken_out);
  EXPECT_EQ(endpoint.availability(kNow + milliseconds(999)), Availability::taken_out);
  EXPECT_EQ(endpoint.availability(kNow + milliseconds(1000)), Availability::usable);
}

TEST(Endpoint, AnotherRefusedConnectLengthensTheTakeOut) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.take_out(kNow);
  endpoint.take_out(kNow + milliseconds(600));
  EXPECT_FALSE(endpoint.usable(kNow + milliseconds(1599)));
  EXPECT_TRUE(endpoint.usable(kNow + milliseconds(1600)));
}

TEST(Endpoint, AnOlderRefusedConnectDoesNotShortenTheTakeOut) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.take_out(kNow);
  endpoint.take_out(kNow - milliseconds(500));
  EXPECT_FALSE(endpoint.usable(kNow + milliseconds(999)));
}

TEST(Endpoint, DownOutlastsATakeOut) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.mark_down();
  endpoint.take_out(kNow);
  EXPECT_EQ(endpoint.availability(kNow), Availability::down);
  EXPECT_EQ(endpoint.availability(kNow + milliseconds(5000)), Availability::down);
}

TEST(Endpoint, IsTakenOutWhileNotDownEvenIfTheTakeOutCameFirst) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.take_out(kNow);
  endpoint.mark_down();
  EXPECT_EQ(endpoint.availability(kNow), Availability::down);
}

TEST(Endpoint, ComingUpEndsATakeOut) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.mark_down();
  endpoint.take_out(kNow);
  endpoint.mark_up();
  EXPECT_TRUE(endpoint.usable(kNow));
}

TEST(Endpoint, IsTriedByOneAloneWhenATakeOutIsOver) {
  Endpoint endpoint("shop", server("http://a"));
  EXPECT_EQ(endpoint.begin_trial(kNow, milliseconds(4000)), 0U) << "it was never out";
  endpoint.take_out(kNow);
  EXPECT_EQ(endpoint.begin_trial(kNow + milliseconds(999), milliseconds(4000)), 0U);
  EXPECT_NE(endpoint.begin_trial(kNow + milliseconds(1000), milliseconds(4000)), 0U);
  EXPECT_EQ(endpoint.availability(kNow + milliseconds(1000)), Availability::taken_out);
  EXPECT_EQ(endpoint.begin_trial(kNow + milliseconds(1000), milliseconds(4000)), 0U);
}

TEST(Endpoint, IsTriedByOneOfEightThreads) {
  Endpoint endpoint("shop", server("http://a"));
  for (TimePoint now = kNow; now < kNow + std::chrono::minutes(2); now += 2 * kTakeOut) {
    endpoint.take_out(now);
    std::atomic<int> trials = 0;
    run_threads(8, [&] {
      if (endpoint.begin_trial(now + kTakeOut, milliseconds(4000)) != 0) ++trials;
    });
    ASSERT_EQ(trials, 1);
    EXPECT_TRUE(endpoint.end_take_out());
  }
}

TEST(Endpoint, IsTriedAgainWhenNobodyHasTakenCareOfATrial) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.take_out(kNow);
  ASSERT_NE(endpoint.begin_trial(kNow + milliseconds(1500), milliseconds(4000)), 0U);
  EXPECT_FALSE(endpoint.usable(kNow + milliseconds(5499)));
  EXPECT_TRUE(endpoint.usable(kNow + milliseconds(5500)));
  EXPECT_NE(endpoint.begin_trial(kNow + milliseconds(5500), milliseconds(4000)), 0U);
}

TEST(Endpoint, ATrialThatFailsTakesItOutForASecond) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.take_out(kNow);
  const auto trial = endpoint.begin_trial(kNow + milliseconds(1500), milliseconds(4000));
  EXPECT_FALSE(endpoint.take_out(kNow + milliseconds(1600), trial)) << "it was out for the others";
  EXPECT_FALSE(endpoint.usable(kNow + milliseconds(2599)));
  EXPECT_TRUE(endpoint.usable(kNow + milliseconds(2600)));
}

TEST(Endpoint, ATrialThatShowsNothingLeavesItToTheNext) {
  Endpoint endpoint("shop", server("http://a"));
  EXPECT_FALSE(endpoint.end_trial(0));
  endpoint.take_out(kNow);
  const auto trial = endpoint.begin_trial(kNow + milliseconds(1500), milliseconds(4000));
  EXPECT_TRUE(endpoint.end_trial(trial));
  EXPECT_TRUE(endpoint.usable(kNow + milliseconds(1500)));
  EXPECT_FALSE(endpoint.end_trial(trial));
  EXPECT_NE(endpoint.begin_trial(kNow + milliseconds(1500), milliseconds(4000)), 0U);
}

TEST(Endpoint, ATrialEndsNoTakeOutThatCameMeanwhile) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.take_out(kNow);
  const auto trial = endpoint.begin_trial(kNow + milliseconds(1500), milliseconds(200));
  endpoint.take_out(kNow + milliseconds(1600));
  EXPECT_FALSE(endpoint.end_trial(trial));
  EXPECT_FALSE(endpoint.usable(kNow + milliseconds(2599)));
}

TEST(Endpoint, AConnectThatSucceedsEndsTakeOutAndTrialButNotTheVerdictOfChecks) {
  Endpoint endpoint("shop", server("http://a"));
  EXPECT_FALSE(endpoint.end_take_out());
  endpoint.take_out(kNow);
  EXPECT_TRUE(endpoint.end_take_out());
  EXPECT_TRUE(endpoint.usable(kNow));
  EXPECT_EQ(endpoint.begin_trial(kNow + milliseconds(1000), milliseconds(4000)), 0U);
  endpoint.take_out(kNow);
  endpoint.mark_down();
  EXPECT_TRUE(endpoint.end_take_out());
  EXPECT_EQ(endpoint.availability(kNow), Availability::down);
}

TEST(Endpoint, GrantsAnyNumberOfConnectionsWithoutALimit) {
  Endpoint endpoint("shop", limited(0));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(endpoint.try_acquire_connection());
  EXPECT_FALSE(endpoint.at_connection_limit());
  EXPECT_EQ(endpoint.open_connections(), 1000U);
}

TEST(Endpoint, RefusesTheConnectionBeyondTheLimitUntilOneIsReleased) {
  Endpoint endpoint("shop", limited(2));
  EXPECT_TRUE(endpoint.try_acquire_connection());
  EXPECT_FALSE(endpoint.at_connection_limit());
  EXPECT_TRUE(endpoint.try_acquire_connection());
  EXPECT_TRUE(endpoint.at_connection_limit());
  EXPECT_FALSE(endpoint.try_acquire_connection());
  EXPECT_EQ(endpoint.open_connections(), 2U);
  endpoint.release_connection();
  EXPECT_TRUE(endpoint.try_acquire_connection());
}

TEST(Endpoint, ALoweredLimitRefusesUntilEnoughConnectionsHaveGone) {
  Endpoint endpoint("shop", limited(0));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(endpoint.try_acquire_connection());
  endpoint.update(limited(2));
  endpoint.release_connection();
  EXPECT_FALSE(endpoint.try_acquire_connection());
  endpoint.release_connection();
  EXPECT_TRUE(endpoint.try_acquire_connection());
}

TEST(Endpoint, GrantsExactlyTheLimitToEightThreads) {
  Endpoint endpoint("shop", limited(100));
  std::atomic<int> granted = 0;
  run_threads(8, [&] {
    for (int i = 0; i < 1000; ++i) granted += endpoint.try_acquire_connection() ? 1 : 0;
  });
  EXPECT_EQ(granted, 100);
  EXPECT_EQ(endpoint.open_connections(), 100U);
}

TEST(Endpoint, NeverHasMoreConnectionsThanTheLimitWhileEightThreadsComeAndGo) {
  constexpr int kLimit = 3;
  Endpoint endpoint("shop", limited(kLimit));
  std::atomic<int> held = 0;
  std::atomic<bool> exceeded = false;
  run_threads(8, [&] {
    for (int i = 0; i < 20000; ++i) {
      if (!endpoint.try_acquire_connection()) continue;
      if (++held > kLimit) exceeded = true;
      if (i % 64 == 0) std::this_thread::yield();
      --held;
      endpoint.release_connection();
    }
  });
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(endpoint.open_connections(), 0U);
}

TEST(Endpoint, CountsRequestsThatRunAndAllThatEverWere) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.begin_request();
  endpoint.begin_request();
  endpoint.end_request();
  EXPECT_EQ(endpoint.active_requests(), 1U);
  EXPECT_EQ(endpoint.requests(), 2U);
}

TEST(Endpoint, ItsLoadIsWhatIsServedAndWhatWaitsForAConnection) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.begin_arrival();
  endpoint.begin_arrival();
  endpoint.begin_request();
  endpoint.end_arrival();
  EXPECT_EQ(endpoint.load(), 2U);
  EXPECT_EQ(endpoint.active_requests(), 1U);
  EXPECT_EQ(endpoint.requests(), 1U);
}

TEST(Endpoint, CountsAFailedConnectAsAFailureToo) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.count_failure();
  endpoint.count_connect_failure();
  EXPECT_EQ(endpoint.failures(), 2U);
  EXPECT_EQ(endpoint.connect_failures(), 1U);
}

TEST(Endpoint, HasNoAddressesBeforeTheNameIsResolved) {
  const Endpoint endpoint("shop", server("http://a"));
  EXPECT_EQ(endpoint.addresses(), nullptr);
  EXPECT_FALSE(endpoint.resolve_failed());
}

TEST(Endpoint, KeepsTheLastAddressesWhenResolvingFails) {
  Endpoint endpoint("shop", server("http://a"));
  const auto list = std::make_shared<const AddressList>(1);
  endpoint.set_addresses(list);
  endpoint.note_resolve_failure();
  EXPECT_EQ(endpoint.addresses(), list);
  EXPECT_TRUE(endpoint.resolve_failed());
}

TEST(Endpoint, NewAddressesClearTheResolveFailureAndLeaveReadersTheirList) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.set_addresses(std::make_shared<const AddressList>(1));
  endpoint.note_resolve_failure();
  const auto held = endpoint.addresses();
  endpoint.set_addresses(std::make_shared<const AddressList>(2));
  EXPECT_EQ(held->size(), 1U);
  EXPECT_EQ(endpoint.addresses()->size(), 2U);
  EXPECT_FALSE(endpoint.resolve_failed());
}

TEST(Endpoint, ReadersSeeWholeListsWhileAnotherThreadReplacesThem) {
  Endpoint endpoint("shop", server("http://a"));
  endpoint.set_addresses(std::make_shared<const AddressList>(1));
  std::atomic<bool> done = false;
  std::atomic<bool> torn = false;
  std::thread writer([&] {
    for (std::size_t i = 0; i < 5000; ++i)
      endpoint.set_addresses(std::make_shared<const AddressList>(1 + i % 2));
    done = true;
  });
  run_threads(3, [&] {
    do {
      const auto list = endpoint.addresses();
      if (!list || list->empty() || list->size() > 2) torn = true;
    } while (!done);
  });
  writer.join();
  EXPECT_FALSE(torn);
}

}  // namespace
}  // namespace revproxyd::upstream
