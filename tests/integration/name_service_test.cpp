// A name service that is gone, that fails and that lies: servers whose names are known stay in use,
// and nobody else waits.

#include <signal.h>

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/name_server.h"
#include "tests/support/namespaces.h"
#include "tests/support/process.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kName = "app.example";
// Far below any patience of the resolver.
constexpr Milliseconds kPromptly{500};

// A daemon in a network of its own: /named goes to a server by its name, all else by its address.
class Town {
 public:
  explicit Town(NameScript script, std::string_view upstream = {}) : names_(std::move(script)) {
    write_file(directory_.file("resolv.conf"), "nameserver 127.0.0.1\n");
    replace_system_file("/etc/resolv.conf", directory_.file("resolv.conf"));
    write_file(directory_.file("nsswitch.conf"), "hosts: files dns\n");
    replace_system_file("/etc/nsswitch.conf", directory_.file("nsswitch.conf"));
    daemon_.emplace(std::string(kPlainListener) +
                    "upstreams: { named: { servers: [ { url: 'http://" + std::string(kName) + ":" +
                    std::to_string(origin_.port()) + "' } ]" + std::string(upstream) +
                    " } }\nroutes:\n  - { path: /named, to: named }\n  - { to: '" + origin_.url() +
                    "' }\n");
  }

  NameServer& names() noexcept { return names_; }
  const Origin& origin() const noexcept { return origin_; }
  const Daemon& daemon() const noexcept { return *daemon_; }
  CommandResult upgrade() { return daemon_->upgrade(); }
  CommandResult reload(const std::string& config) {
    daemon_->write_config(config);
    return daemon_->ctl("reload");
  }
  int stop() { return daemon_->stop(); }
  Response named() const { return fetch(daemon_->port(), "/named"); }
  bool named_becomes(int status) const {
    return wait_until([&] { return named().status == status; });
  }
  // Those that ask for no name are served as if nothing were.
  void expect_others_are_served() const {
    RawClient client(daemon_->port());
    for (int i = 0; i < 20; ++i) {
      const Stopwatch watch;
      EXPECT_EQ(client.get("/").status, 200);
      EXPECT_LT(watch.elapsed().count(), kPromptly.count());
    }
  }
  // The request gets an answer, and at once.
  void expect_named_is_unknown() const {
    const Stopwatch watch;
    const Response answer = named();
    EXPECT_EQ(answer.status, 503);
    EXPECT_NE(answer.field("Proxy-Status").find("error=dns_error"), std::string::npos);
    EXPECT_LT(watch.elapsed().count(), kPromptly.count());
    EXPECT_EQ(daemon_->wait_access_of("/named").why(), "resolve_failed");
  }

 private:
  TempDir directory_;
  NameServer names_;
  Origin origin_;
  std::optional<Daemon> daemon_;
};

NameScript says(std::vector<std::string> addresses, std::uint32_t ttl) {
  return [addresses = std::move(addresses), ttl](const NameQuery& query) {
    return query.answer(addresses, ttl);
  };
}

NameScript fails(std::uint8_t code) {
  return [code](const NameQuery& query) { return query.failure(code); };
}

std::string silent(const NameQuery& /*query*/) { return {}; }

// /named goes to a server that is checked; another one has a name.
constexpr Milliseconds kCheckTime{600};
std::string checked(const std::string& url, std::string_view name) {
  return std::string(kPlainListener) +
         "routes:\n  - { path: /named, to: app }\n  - { to: 'http://" + std::string(name) +
         "' }\nupstreams:\n  app: { servers: [ { url: '" + url +
         "' } ], health_check: { path: /healthz, interval: 1s, timeout: " +
         std::to_string(kCheckTime.count()) + "ms } }\n";
}

#define SKIP_UNLESS(allowed) \
  if (!(allowed)) GTEST_SKIP() << "no network and mounts of its own are allowed here"

}  // namespace

TEST(NameService, SilenceDelaysNobodyElse) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(silent);
    town.expect_others_are_served();
    town.expect_named_is_unknown();
    town.names().set_script(says({"127.0.0.1"}, 60));
    EXPECT_TRUE(town.named_becomes(200));
  }));
}

TEST(NameService, FailuresAreToldWithTheirReasonAndPass) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(fails(kServerFailure));
    town.daemon().wait_log("warning: upstream");
    town.expect_others_are_served();
    town.expect_named_is_unknown();
    town.names().set_script(says({"127.0.0.1"}, 60));
    EXPECT_TRUE(town.named_becomes(200));
  }));
}

TEST(NameService, AServerIsJudgedByItsChecksFromItsFirstAddressOn) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(fails(kServerFailure), ", health_check: { path: /healthz, interval: 10m }");
    town.daemon().wait_log("warning: upstream");
    town.expect_named_is_unknown();
    EXPECT_NE(town.daemon().ctl("status").out.find(": no address"), std::string::npos);
    town.names().set_script(says({"127.0.0.1"}, 60));
    EXPECT_TRUE(town.named_becomes(200));
    EXPECT_TRUE(town.origin().wait_requests_for("/healthz"));
    EXPECT_EQ(town.daemon().log().find("is down"), std::string::npos);
  }));
}

TEST(NameService, AServerThatIsNotWellIsOutSoonAfterItsFirstAddress) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(silent, ", health_check: { path: /healthz, interval: 10m, expect: 204 }");
    town.expect_named_is_unknown();
    town.names().set_script(says({"127.0.0.1"}, 60));
    town.daemon().wait_log("is down: status 200");
    EXPECT_EQ(town.named().status, 503);
  }));
}

TEST(NameService, AnAddressThatWasKnownStaysInUseWhenTheNameIsGone) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(says({"127.0.0.1"}, 1));
    EXPECT_EQ(town.named().status, 200);
    town.names().set_script(fails(kNoSuchName));
    town.daemon().wait_log("warning: upstream");
    for (int i = 0; i < 20; ++i) EXPECT_EQ(town.named().status, 200);
  }));
}

TEST(NameService, AnAddressThatWasKnownStaysInUseWhenNobodyAnswers) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(says({"127.0.0.1"}, 1));
    EXPECT_EQ(town.named().status, 200);
    town.names().set_script(silent);
    const std::size_t before = town.names().queries();
    ASSERT_TRUE(wait_until([&] { return town.names().queries() > before; }));
    for (int i = 0; i < 20; ++i) EXPECT_EQ(town.named().status, 200);
    town.expect_others_are_served();
  }));
}

TEST(NameService, AnAddressThatWasKnownSurvivesAnUpgrade) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(says({"127.0.0.1"}, 1));
    EXPECT_EQ(town.named().status, 200);
    town.names().set_script(silent);
    ASSERT_EQ(town.upgrade().status, 0);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(town.named().status, 200);
    town.names().set_script(says({"127.0.0.9"}, 60));  // where nobody listens
    EXPECT_TRUE(town.named_becomes(502));
  }));
}

TEST(NameService, GarbageIsNoAnswer) {
  SKIP_UNLESS(in_own_namespaces([] {
    std::atomic<std::size_t> turn = 0;
    Town town([&](const NameQuery& query) -> std::string {
      const std::string good = query.answer({"127.0.0.9"}, 60);
      switch (turn++ % 6) {
        case 0: return std::string(40, '\xff');
        case 1: return good.substr(0, good.size() - 3);
        case 2: return good.substr(0, 2) + std::string(good.size() - 2, '\xc0');
        case 3: return "xx" + good.substr(2);  // of another query
        case 4: return good.substr(0, 12);
        // An alias that points at itself, over and over.
        default:
          return good.substr(0, 12) + "\xc0\x0c" + std::string("\0\1\0\1", 4) + good.substr(12);
      }
    });
    town.expect_others_are_served();
    town.expect_named_is_unknown();
    town.names().set_script(says({"127.0.0.1"}, 60));
    EXPECT_TRUE(town.named_becomes(200));
  }));
}

TEST(NameService, AnswersWithThousandsOfAddressesAreTakenInPart) {
  SKIP_UNLESS(in_own_namespaces([] {
    std::vector<std::string> many{"127.0.0.1"};
    for (int i = 0; i < 3900; ++i)
      many.push_back("127.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1));
    Town town([&](const NameQuery& query) {
      return query.tcp ? query.answer(many, 60) : query.truncated();
    });
    const std::size_t before = town.daemon().rss_kib();
    EXPECT_TRUE(town.named_becomes(200));
    for (int i = 0; i < 20; ++i) EXPECT_EQ(town.named().status, 200);
    town.expect_others_are_served();
    EXPECT_LT(town.daemon().rss_kib(), before + 16 * 1024);
  }));
}

TEST(NameService, AddressesAtWhichNobodyCanBeAreFailuresOfTheServer) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(says({"224.0.0.1", "255.255.255.255", "192.0.2.1", "127.9.9.9"}, 1));
    const Stopwatch watch;
    EXPECT_EQ(town.named().status, 502);
    EXPECT_LT(watch.elapsed().count(), 3000);
    town.expect_others_are_served();
    town.names().set_script(says({"127.0.0.1"}, 60));
    EXPECT_TRUE(town.named_becomes(200));
  }));
}

TEST(NameService, ATtlOfZeroAsksNotForEveryRequest) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(says({"127.0.0.1"}, 0));
    EXPECT_TRUE(town.named_becomes(200));
    const std::size_t before = town.names().queries();
    const Stopwatch watch;
    while (watch.elapsed() < Milliseconds(1500)) ASSERT_EQ(town.named().status, 200);
    EXPECT_EQ(town.names().queries(), before);
  }));
}

// While a reload waits for a name nothing is looked at, and no answer is late for that.
TEST(NameService, ACheckThatBeginsAfterAWaitHasItsWholeTime) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(silent);
    const Origin fresh;
    const Stopwatch watch;
    ASSERT_EQ(town.reload(checked(fresh.url(), "unknown.example")).status, 0);
    ASSERT_GT(watch.elapsed(), kCheckTime);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(town.named().status, 200);
    ASSERT_TRUE(fresh.wait_requests_for("/healthz", 2));
    EXPECT_EQ(town.daemon().log().find("is down"), std::string::npos);
  }));
}

TEST(NameService, ACheckThatIsUnderWayLosesNoTimeToAWait) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(silent);
    Gate answers;
    Origin fresh([&](OriginExchange& exchange) {
      if (exchange.request().target == "/healthz") answers.wait();
      exchange.respond("ok");
    });
    std::atomic<bool> waits = false;
    town.names().set_script([&](const NameQuery& query) {
      if (query.name == "second.example") waits = true;
      return std::string();
    });
    ASSERT_EQ(town.reload(checked(fresh.url(), "first.example")).status, 0);
    ASSERT_TRUE(fresh.wait_requests_for("/healthz"));
    std::thread second([&] { town.reload(checked(fresh.url(), "second.example")); });
    EXPECT_TRUE(wait_until([&] { return waits.load(); }));
    answers.open();
    second.join();
    ASSERT_TRUE(fresh.wait_requests_for("/healthz", 2));
    EXPECT_EQ(town.daemon().log().find("is down"), std::string::npos);
  }));
}

// A reload waits for names, and the signals that come meanwhile wait for the reload.
TEST(NameService, HangupsDuringAReloadCauseOneMore) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(silent);
    for (int i = 0; i < 25; ++i) deliver_signal(town.daemon().pid(), SIGHUP);
    EXPECT_EQ(town.daemon().ctl("reload").status, 0);
    // Two by ctl, and at most two for the signals, which may be answered by those of ctl.
    const std::string out = town.daemon().ctl("reload").out;
    const bool few = out.starts_with("reload 3: ok") || out.starts_with("reload 4: ok") ||
                     out.starts_with("reload 5: ok");
    EXPECT_TRUE(few) << out;
  }));
}

TEST(NameService, AStopGoesBeforeReloadsThatHaveYetToBegin) {
  SKIP_UNLESS(in_own_namespaces([] {
    Town town(silent);
    for (int i = 0; i < 25; ++i) deliver_signal(town.daemon().pid(), SIGHUP);
    EXPECT_EQ(town.stop(), 0);
    EXPECT_EQ(town.daemon().log().find("reload 3: ok"), std::string::npos);
  }));
}

}  // namespace revproxyd::testing
