#include "revproxyd/base/metrics.h"

#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace revproxyd::metrics {
namespace {

TEST(Counter, CountsUpAndDown) {
  Counter counter;
  counter.add();
  counter.add(5);
  counter.subtract(2);
  EXPECT_EQ(counter.value(), 4U);
}

TEST(Metrics, SumsEveryWorker) {
  WorkerCounts a;
  WorkerCounts b;
  a.requests.add(3);
  b.requests.add(4);
  a.connections_active.add(1);
  b.queue_waits.add(9);
  a.responses[2].add(2);
  b.responses[2].add(5);
  b.reasons[static_cast<std::size_t>(Code::no_route)].add(6);
  a.connections_refused[static_cast<std::size_t>(Code::connection_limit)].add(7);
  a.connections_failed[static_cast<std::size_t>(Code::ping_flood)].add(9);
  const std::vector<const WorkerCounts*> workers{&a, &b};
  const Totals totals = sum(workers);
  EXPECT_EQ(totals.requests, 7U);
  EXPECT_EQ(totals.connections_active, 1U);
  EXPECT_EQ(totals.queue_waits, 9U);
  EXPECT_EQ(totals.responses[2], 7U);
  EXPECT_EQ(totals.reasons[static_cast<std::size_t>(Code::no_route)], 6U);
  EXPECT_EQ(totals.connections_refused[static_cast<std::size_t>(Code::connection_limit)], 7U);
  EXPECT_EQ(totals.connections_failed[static_cast<std::size_t>(Code::ping_flood)], 9U);
}

TEST(Metrics, SumOfNoWorkersIsZero) { EXPECT_EQ(sum({}).requests, 0U); }

TEST(Metrics, LosesNoCountWhileOthersRead) {
  WorkerCounts counts;
  const WorkerCounts* const workers[] = {&counts};
  constexpr std::uint64_t kTimes = 200000;
  std::thread worker([&] {
    for (std::uint64_t i = 0; i < kTimes; ++i) counts.requests.add();
  });
  std::uint64_t last = 0;
  bool monotonic = true;
  while (last < kTimes) {
    const std::uint64_t now = sum(workers).requests;
    monotonic = monotonic && now >= last;
    last = now;
  }
  worker.join();
  EXPECT_TRUE(monotonic);
  EXPECT_EQ(sum(workers).requests, kTimes);
}

TEST(Metrics, JsonNamesEveryFigureAndOnlyReasonsThatHappened) {
  Totals totals;
  totals.connections_accepted = 1;
  totals.connections_active = 2;
  totals.requests = 3;
  totals.requests_active = 4;
  totals.bytes_in = 5;
  totals.bytes_out = 6;
  totals.upstream_connects = 7;
  totals.upstream_connect_failures = 8;
  totals.upstream_reuses = 10;
  totals.retries = 11;
  totals.queue_waits = 12;
  totals.responses = {0, 1, 2, 3, 4, 5};
  totals.reasons[static_cast<std::size_t>(Code::no_route)] = 13;
  totals.reasons[static_cast<std::size_t>(Code::internal)] = 14;
  totals.connections_failed[static_cast<std::size_t>(Code::reset_flood)] = 15;
  ProcessCounts process;
  process.config_generation.set(20);
  process.reloads_ok.set(21);
  process.reloads_failed.set(22);
  process.last_reload_time_s.set(23);
  process.last_reload_failed.set(1);
  process.certificate_updates_ok.set(26);
  process.certificate_updates_failed.set(27);
  process.access_log_dropped.set(24);
  process.log_dropped.set(25);
  EXPECT_EQ(
      to_json(totals, process),
      "{\"config_generation\":20,\"reloads_ok\":21,\"reloads_failed\":22,\"last_reload_time_s\":23,"
      "\"last_reload_failed\":1,\"certificate_updates_ok\":26,\"certificate_updates_failed\":27,"
      "\"access_log_dropped\":24,\"log_dropped\":25,"
      "\"connections_accepted\":1,\"connections_active\":2,\"connections_resting\":0,"
      "\"connections_passed_on\":0,\"accept_pauses\":0,\"requests\":3,\"requests_active\":4,"
      "\"bytes_in\":5,"
      "\"bytes_out\":6,\"upstream_connects\":7,\"upstream_connect_failures\":8,"
      "\"upstream_reuses\":10,\"retries\":11,\"queue_waits\":12,"
      "\"responses\":{\"none\":0,\"1xx\":1,\"2xx\":2,\"3xx\":3,\"4xx\":4,\"5xx\":5},"
      "\"reasons\":{\"no_route\":13,\"internal\":14},\"connections_refused\":{},"
      "\"connections_failed\":{\"reset_flood\":15}}");
}

// Of members of objects "object.member", of what is in a list "list[].member", and of an object
// whose members are the words of what happened "object.WORD".
std::set<std::string> names_in(const std::string& json) {
  std::set<std::string> names;
  std::string within;
  for (std::size_t at = 1; at < json.size(); ++at) {
    if (json[at] == '}') within.clear();
    if (json[at] != '"') continue;
    const std::size_t end = json.find('"', at + 1);
    const std::string name = json.substr(at + 1, end - at - 1);
    const std::string_view value = std::string_view(json).substr(end + 2);
    if (value.starts_with("{}")) {
      names.insert(name + ".WORD");
    } else if (value.starts_with('{')) {
      within = name + ".";
    } else if (value.starts_with('[')) {
      within = name + "[].";
    } else {
      names.insert(within + name);
    }
    at = end;
  }
  return names;
}

// Everything in code type in the first cells of the table under that heading.
std::set<std::string> documented(const std::string& page, const std::string& heading) {
  std::ifstream file(REVPROXYD_SOURCE_DIR "/" + page);
  std::set<std::string> names;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) inside = line == heading;
    if (!inside || !line.starts_with("| `")) continue;
    const std::size_t cell = line.find('|', 1);
    for (std::size_t at = line.find('`'); at < cell; at = line.find('`', at + 1)) {
      const std::size_t begin = at + 1;
      at = line.find('`', begin);
      names.insert(line.substr(begin, at - begin));
    }
  }
  return names;
}

TEST(CounterPage, ExplainsEveryCounterAndNoOther) {
  const LoopCounts loop;
  const std::vector<LoopView> loops{{&loop}};
  std::set<std::string> names = names_in(to_json(Totals{}, ProcessCounts{}, loops));
  EXPECT_TRUE(names.contains("requests") && names.contains("responses.5xx") &&
              names.contains("reasons.WORD") && names.contains("loops[].lag_us"));
  names.insert("reasons.none");
  EXPECT_EQ(documented("docs/operations.md", "### Counters"), names);
}

TEST(Metrics, WritesTheLoopsOfTheWorkersInOrder) {
  LoopCounts first;
  LoopCounts second;
  first.busy_us.set(5);
  first.lag_us.set(1);
  first.longest_lag_us.set(2);
  second.long_turns.set(3);
  second.longest_turn_us.set(4);
  const std::array<LoopView, 2> loops{LoopView{&first}, LoopView{&second}};
  const std::string json = to_json(Totals(), ProcessCounts(), loops);
  EXPECT_TRUE(json.ends_with(
      ",\"loops\":[{\"busy_us\":5,\"lag_us\":1,\"longest_lag_us\":2,\"long_turns\":0,"
      "\"longest_turn_us\":0,\"stalled\":0},"
      "{\"busy_us\":0,\"lag_us\":0,\"longest_lag_us\":0,\"long_turns\":3,\"longest_turn_us\":4,"
      "\"stalled\":0}]}"))
      << json;
}

TEST(Metrics, ASignOfLifeThatIsOwedIsLagAlready) {
  LoopCounts slow;
  slow.lag_us.set(10);
  slow.longest_lag_us.set(500);
  const std::array<LoopView, 3> loops{LoopView{&slow, 7}, LoopView{&slow, 20},
                                      LoopView{&slow, 6000000, true}};
  const std::string json = to_json(Totals(), ProcessCounts(), loops);
  EXPECT_NE(json.find("\"lag_us\":10,\"longest_lag_us\":500,"), std::string::npos) << json;
  EXPECT_NE(json.find("\"lag_us\":20,\"longest_lag_us\":500,"), std::string::npos) << json;
  EXPECT_NE(json.find("\"lag_us\":6000000,\"longest_lag_us\":6000000,"), std::string::npos);
  EXPECT_TRUE(json.ends_with("\"stalled\":1}]}")) << json;
}

}  // namespace
}  // namespace revproxyd::metrics
