#include "revproxyd/net/resolver.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>

#include <gtest/gtest.h>

#include "tests/unit/net/dns_server.h"

namespace revproxyd::net {
namespace {

using namespace std::chrono_literals;
using test::DnsServer;

Resolver::Options options_for(const DnsServer& server) {
  Resolver::Options options;
  options.servers = server.address();
  options.query_timeout = 200ms;
  options.rounds = 1;
  options.shortest_ttl = 50ms;
  options.longest_ttl = 100ms;
  options.without_ttl = 60s;
  options.first_retry = 30ms;
  options.longest_retry = 60ms;
  return options;
}

/// What a subscriber has been told.
class Told {
 public:
  Resolver::Callback callback() {
    return [this](const Result<AddressList>& result) {
      const std::lock_guard lock(mutex_);
      said_.push_back(result ? text(**result) : std::string(name(result.error().code())));
      news_.notify_all();
    };
  }
  /// The call of that index (from 0), or "nothing" when it does not come.
  std::string at(std::size_t index) {
    std::unique_lock lock(mutex_);
    if (!news_.wait_for(lock, 5s, [&] { return said_.size() > index; })) return "nothing";
    return said_[index];
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return said_.size();
  }

 private:
  static std::string text(const std::vector<Address>& addresses) {
    std::vector<std::string> all;
    for (const Address& address : addresses) all.push_back(address.text());
    std::sort(all.begin(), all.end());
    std::string out;
    for (const std::string& one : all) out += (out.empty() ? "" : " ") + one;
    return out;
  }

  std::mutex mutex_;
  std::condition_variable news_;
  std::vector<std::string> said_;
};

/// A subscriber of a.test.
struct Asked {
  explicit Asked(const DnsServer& server) : resolver(options_for(server)) {}

  Resolver resolver;
  Told told;
  Resolver::Subscription subscription = resolver.subscribe("a.test", 80, told.callback());
};

TEST(Resolver, GivesTheAddressesOfBothFamiliesWithThePort) {
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1", "192.0.2.2", "2001:db8::1"}});
  Resolver resolver(options_for(server));
  Told told;
  const auto subscription = resolver.subscribe("A.test", 8080, told.callback());
  EXPECT_EQ(told.at(0), "192.0.2.1:8080 192.0.2.2:8080 [2001:db8::1]:8080");
}

#ifndef REVPROXYD_SANITIZED  // sanitizers have threads of their own
// In a process of another user, whose threads can be limited.
TEST(Resolver, AThreadThatWasNotToBeHadIsTriedAgain) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1"}});
  const pid_t child = ::fork();
  if (child == 0) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NPROC, &limit);
    const rlim_t usual = std::exchange(limit.rlim_cur, 0);
    bool good = ::setuid(60600) == 0 && ::setrlimit(RLIMIT_NPROC, &limit) == 0;
    Asked asked(server);
    good = good && asked.told.count() == 1 && asked.told.at(0) == "resolve_failed";
    asked.resolver.retry();
    limit.rlim_cur = usual;
    good = good && ::setrlimit(RLIMIT_NPROC, &limit) == 0;
    asked.resolver.retry();
    ::_exit(good && asked.told.at(1) == "192.0.2.1:80" ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}
#endif

TEST(Resolver, LiteralsAndLocalhostAreAnsweredWithinTheCall) {
  Resolver resolver;
  struct Case {
    const char* host;
    const char* addresses;
  };
  for (const Case& c : {Case{"192.0.2.1", "192.0.2.1:80"}, Case{"2001:db8::1", "[2001:db8::1]:80"},
                        Case{"[::1]", "[::1]:80"}, Case{"localhost", "127.0.0.1:80 [::1]:80"},
                        Case{"app.LOCALHOST.", "127.0.0.1:80 [::1]:80"}}) {
    Told told;
    const auto subscription = resolver.subscribe(c.host, 80, told.callback());
    ASSERT_EQ(told.count(), 1u) << c.host;
    EXPECT_EQ(told.at(0), c.addresses);
  }
}

TEST(Resolver, AsksAgainWhenTheTtlEndsAndTellsOfChangesOnly) {
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1"}});
  Asked asked(server);
  EXPECT_EQ(asked.told.at(0), "192.0.2.1:80");
  EXPECT_TRUE(server.wait_for_questions(3));
  EXPECT_EQ(asked.told.count(), 1u);
  server.set("a.test", {"", {"192.0.2.9"}});
  EXPECT_EQ(asked.told.at(1), "192.0.2.9:80");
}

TEST(Resolver, AnAnswerIsKeptForItsTtl) {
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1"}, 2});
  Resolver::Options options = options_for(server);
  options.longest_ttl = 1h;
  Resolver resolver(options);
  Told told;
  const TimePoint begin = Clock::now();
  const auto subscription = resolver.subscribe("a.test", 80, told.callback());
  ASSERT_EQ(told.at(0), "192.0.2.1:80");
  ASSERT_TRUE(server.wait_for_questions(2));
  EXPECT_GE(Clock::now() - begin, 2s);
}

TEST(Resolver, AnAnswerWithoutTtlHasATimeOfItsOwn) {
  DnsServer server;
  server.set("zero.test", {"", {"192.0.2.1"}, 0});
  server.set("other.test", {"", {"192.0.2.2"}});
  Resolver resolver(options_for(server));
  Told zero;
  Told other;
  const auto one = resolver.subscribe("zero.test", 80, zero.callback());
  ASSERT_EQ(zero.at(0), "192.0.2.1:80");
  const std::size_t before = server.questions();
  const auto two = resolver.subscribe("other.test", 80, other.callback());
  ASSERT_EQ(other.at(0), "192.0.2.2:80");
  server.set("zero.test", {"", {"192.0.2.9"}, 0});
  EXPECT_TRUE(server.wait_for_questions(before + 4));  // all of them for the other name
  EXPECT_EQ(zero.count(), 1u);
}

TEST(Resolver, FollowsAliasesAndUsesTheShortestTtlOfTheChain) {
  DnsServer server;
  server.set("a.test", {"b.test", {}, 1});
  server.set("b.test", {"c.test", {}, 3600});
  server.set("c.test", {"", {"192.0.2.1"}, 3600});
  Resolver::Options options = options_for(server);
  options.longest_ttl = 1h;
  Resolver resolver(options);
  Told told;
  const auto subscription = resolver.subscribe("a.test", 80, told.callback());
  ASSERT_EQ(told.at(0), "192.0.2.1:80");
  server.set("c.test", {"", {"192.0.2.2"}, 3600});
  EXPECT_EQ(told.at(1), "192.0.2.2:80");
}

TEST(Resolver, ANameThatDoesNotExistIsToldOnceAndTriedAgain) {
  DnsServer server;
  Asked asked(server);
  EXPECT_EQ(asked.told.at(0), "resolve_failed");
  EXPECT_TRUE(server.wait_for_questions(3));
  EXPECT_EQ(asked.told.count(), 1u);
  server.set("a.test", {"", {"192.0.2.1"}});
  EXPECT_EQ(asked.told.at(1), "192.0.2.1:80");
}

TEST(Resolver, AFailureIsToldToWhoeverComesLater) {
  DnsServer server;
  Asked asked(server);
  ASSERT_EQ(asked.told.at(0), "resolve_failed");
  server.set("a.test", {"", {}, 60, true});  // nobody answers any more
  Told late;
  const auto another = asked.resolver.subscribe("a.test", 81, late.callback());
  EXPECT_EQ(late.at(0), "resolve_failed");
}

TEST(Resolver, FailuresKeepTheLastGoodAnswer) {
  for (const int code : {2, 3}) {  // SERVFAIL and NXDOMAIN
    DnsServer server;
    server.set("a.test", {"", {"192.0.2.1"}});
    Asked asked(server);
    ASSERT_EQ(asked.told.at(0), "192.0.2.1:80");
    server.set("a.test", {"", {}, 60, false, code});
    EXPECT_TRUE(server.wait_for_questions(server.questions() + 3));
    EXPECT_EQ(asked.told.at(1), "resolve_failed");
    EXPECT_EQ(asked.told.count(), 2u) << "told once";
    Told late;
    const auto another = asked.resolver.subscribe("a.test", 81, late.callback());
    EXPECT_EQ(late.at(0), "192.0.2.1:81");
    server.set("a.test", {"", {"192.0.2.2"}});
    EXPECT_EQ(asked.told.at(2), "192.0.2.2:80");
  }
}

TEST(Resolver, AFamilyThatFailsKeepsItsAddresses) {
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1", "2001:db8::1"}});
  Asked asked(server);
  ASSERT_EQ(asked.told.at(0), "192.0.2.1:80 [2001:db8::1]:80");
  server.set("a.test", {"", {"2001:db8::2"}, 60, false, 0, 2});
  EXPECT_EQ(asked.told.at(1), "192.0.2.1:80 [2001:db8::2]:80");
  EXPECT_EQ(asked.told.at(2), "resolve_failed");
  server.set("a.test", {"", {"192.0.2.1", "2001:db8::2"}});
  EXPECT_EQ(asked.told.at(3), "192.0.2.1:80 [2001:db8::2]:80");
}

TEST(Resolver, AFamilyThatFailsIsAskedAgainBeforeTheAnswerOfTheOtherGrowsOld) {
  DnsServer server;
  server.set("a.test", {"", {"2001:db8::1"}, 3600, false, 0, 2});
  Resolver::Options options = options_for(server);
  options.longest_ttl = 1h;
  Resolver resolver(options);
  Told told;
  const auto subscription = resolver.subscribe("a.test", 80, told.callback());
  ASSERT_EQ(told.at(0), "[2001:db8::1]:80");
  ASSERT_EQ(told.at(1), "resolve_failed");
  server.set("a.test", {"", {"192.0.2.1", "2001:db8::1"}, 3600});
  EXPECT_EQ(told.at(2), "192.0.2.1:80 [2001:db8::1]:80");
}

TEST(Resolver, AFamilyThatNeverAnswersIsNoneInTheEnd) {
  DnsServer server;
  server.set("a.test", {"", {"2001:db8::1"}, 3600, false, 0, 2});
  Asked asked(server);
  ASSERT_EQ(asked.told.at(0), "[2001:db8::1]:80");
  ASSERT_EQ(asked.told.at(1), "resolve_failed");
  EXPECT_EQ(asked.told.at(2), "[2001:db8::1]:80");
}

// RFC 1535: what one name lacks must not be taken from another that the search list leads to.
TEST(Resolver, AFamilyIsNotTakenFromTheSearchList) {
  ::setenv("LOCALDOMAIN", "corp.test", 1);
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1"}});
  server.set("a.test.corp.test", {"", {"2001:db8::bad"}});
  server.set("b", {"", {}});
  server.set("b.corp.test", {"", {"192.0.2.2"}, 60, false, 0, 0});
  Resolver resolver(options_for(server));
  Told whole;
  Told searched;
  const auto one = resolver.subscribe("a.test", 80, whole.callback());
  EXPECT_EQ(whole.at(0), "192.0.2.1:80");
  const auto other = resolver.subscribe("b", 80, searched.callback());
  EXPECT_EQ(searched.at(0), "192.0.2.2:80");
  ::unsetenv("LOCALDOMAIN");
}

TEST(Resolver, AFamilyOfWhichThereIsNothingAnyMoreIsForgotten) {
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1", "2001:db8::1"}});
  Asked asked(server);
  ASSERT_EQ(asked.told.at(0), "192.0.2.1:80 [2001:db8::1]:80");
  server.set("a.test", {"", {"2001:db8::1"}});
  EXPECT_EQ(asked.told.at(1), "[2001:db8::1]:80");
}

TEST(Resolver, TellsOfTheEndOfAFailureEvenWhereNothingHasChanged) {
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1"}});
  Asked asked(server);
  ASSERT_EQ(asked.told.at(0), "192.0.2.1:80");
  server.set("a.test", {"", {}, 60, false, 2});
  ASSERT_EQ(asked.told.at(1), "resolve_failed");
  server.set("a.test", {"", {"192.0.2.1"}});
  EXPECT_EQ(asked.told.at(2), "192.0.2.1:80");
}

TEST(Resolver, ASilentServerIsAFailureAndIsAskedAgain) {
  DnsServer server;
  server.set("a.test", {"", {}, 60, true});
  Resolver resolver(options_for(server));
  Told told;
  const TimePoint begin = Clock::now();
  const auto subscription = resolver.subscribe("a.test", 80, told.callback());
  EXPECT_EQ(told.at(0), "resolve_failed");
  EXPECT_GE(Clock::now() - begin, 200ms);
  server.set("a.test", {"", {"192.0.2.1"}});
  EXPECT_EQ(told.at(1), "192.0.2.1:80");
}

TEST(Resolver, ServersThatCannotBeAskedAreAFailure) {
  DnsServer server;
  Resolver::Options options = options_for(server);
  options.servers = "nowhere:53";
  Resolver resolver(options);
  Told told;
  const auto subscription = resolver.subscribe("a.test", 80, told.callback());
  EXPECT_EQ(told.at(0), "resolve_failed");
}

TEST(Resolver, NeitherSubscribingNorEndingWaitsForASilentServer) {
  DnsServer server;
  server.set("a.test", {"", {}, 60, true});
  Resolver::Options options = options_for(server);
  options.query_timeout = 30s;
  const TimePoint begin = Clock::now();
  {
    Resolver resolver(options);
    Told told;
    const auto subscription = resolver.subscribe("a.test", 80, told.callback());
    EXPECT_TRUE(server.wait_for_questions(1));
  }
  EXPECT_LT(Clock::now() - begin, 5s);
}

TEST(Resolver, AnEndedSubscriptionIsNotToldAnyMore) {
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1"}});
  server.set("b.test", {"", {"192.0.2.1"}});
  Resolver resolver(options_for(server));
  Told ended;
  Told kept;
  auto subscription = resolver.subscribe("a.test", 80, ended.callback());
  ASSERT_EQ(ended.at(0), "192.0.2.1:80");
  const auto other = resolver.subscribe("b.test", 80, kept.callback());
  ASSERT_EQ(kept.at(0), "192.0.2.1:80");
  subscription = Resolver::Subscription();
  server.set("a.test", {"", {"192.0.2.2"}});
  server.set("b.test", {"", {"192.0.2.2"}});
  ASSERT_EQ(kept.at(1), "192.0.2.2:80");
  EXPECT_TRUE(server.wait_for_questions(server.questions() + 4));
  EXPECT_EQ(ended.count(), 1u);
}

TEST(Resolver, ACallbackMayEndItsOwnSubscription) {
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1"}});
  Resolver resolver(options_for(server));
  Told told;
  std::mutex mutex;
  std::optional<Resolver::Subscription> subscription;
  const auto tell = told.callback();
  {
    const std::lock_guard lock(mutex);
    subscription = resolver.subscribe("a.test", 80, [&, tell](const Result<AddressList>& result) {
      const std::lock_guard inner(mutex);
      subscription.reset();
      tell(result);
    });
  }
  EXPECT_EQ(told.at(0), "192.0.2.1:80");
}

TEST(Resolver, ManyNamesAndSubscribersComeAndGoFromSeveralThreads) {
  DnsServer server;
  for (int i = 0; i < 100; ++i) server.set("n" + std::to_string(i) + ".test", {"", {"192.0.2.1"}});
  Resolver resolver(options_for(server));
  std::atomic<int> answers{0};
  const auto work = [&](int first) {
    for (int round = 0; round < 5; ++round) {
      std::vector<Resolver::Subscription> held;
      for (int i = first; i < 100; i += 2) {
        held.push_back(resolver.subscribe("n" + std::to_string(i) + ".test", 80,
                                          [&](const Result<AddressList>&) { ++answers; }));
      }
    }
  };
  std::thread one(work, 0);
  std::thread two(work, 1);
  one.join();
  two.join();
  std::vector<Told> told(100);
  std::vector<Resolver::Subscription> held;
  for (std::size_t i = 0; i < 100; ++i)
    held.push_back(resolver.subscribe("n" + std::to_string(i) + ".test", 80, told[i].callback()));
  for (Told& one_told : told) EXPECT_EQ(one_told.at(0), "192.0.2.1:80");
}

TEST(Resolver, ASubscriptionMayOutliveTheResolver) {
  DnsServer server;
  server.set("a.test", {"", {"192.0.2.1"}});
  Told told;
  Resolver::Subscription subscription;
  {
    Resolver resolver(options_for(server));
    subscription = resolver.subscribe("a.test", 80, told.callback());
    EXPECT_EQ(told.at(0), "192.0.2.1:80");
  }
}

}  // namespace
}  // namespace revproxyd::net
