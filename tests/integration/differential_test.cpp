// The same request over HTTP/1.1 and HTTP/2 means the same to the server, whichever of the two the
// server speaks, and is refused in the same way. The requests stand in
// tests/integration/differential.

#include <map>
#include <mutex>
#include <set>

#include <gtest/gtest.h>

#include "tests/integration/differential_peers.h"
#include "tests/support/h2_origin.h"
#include "tests/support/setups.h"

namespace revproxyd::testing::differential {

namespace {

// The whole requests that came to the servers, by their field X-Row.
class Recorder {
 public:
  void note(const std::string& row, std::string lines) {
    const std::lock_guard lock(mutex_);
    lines_[row] = std::move(lines);
  }
  /// Empty when there is none.
  std::string of(const std::string& row) const {
    const std::lock_guard lock(mutex_);
    const auto found = lines_.find(row);
    return found != lines_.end() ? found->second : "";
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> lines_;
};

// Each route once for each server, which the listener chooses.
std::string routes_to(const std::string& server) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kRoutes{{
      {"", ""},
      {"path: '/strip/**'", "strip_prefix: /strip"},
      {"path: '/add/**'", "add_prefix: /base"},
      {"path: '/rewrite/**'", "rewrite: { regex: '^/rewrite/(.*)$', to: '/new/\\1' }"},
      {"path: '/edit/**'",
       "headers: { request: { set: { X-Set: new }, add: { X-Add: more }, remove: [ X-Gone ] }, "
       "response: { set: { X-From: route }, remove: [ Set-Cookie ] } }"},
      {"path: '/host/**'", "host_header: other.example"},
      {"path: '/slash/**'", "allow_encoded_slash: true"},
      {"path: '/by/**', cookie: { version: beta }",
       "headers: { request: { set: { X-By: cookie } } }"},
  }};
  std::string out;
  for (const auto& [match, edit] : kRoutes) {
    out += "  - { match: { listener: " + server;
    if (!match.empty()) out += ", " + std::string(match);
    out += " }, to: " + server;
    if (!edit.empty()) out += ", " + std::string(edit);
    out += " }\n";
  }
  return out;
}

std::string config(const std::string& http1, const std::string& http2) {
  return "listeners: [ { name: http1, address: '127.0.0.1:0' }, { name: http2, address: "
         "'127.0.0.1:0' } ]\nlimits: { max_body: 64KiB }\nupstreams: { http1: { servers: [ { url: "
         "'" +
         http1 + "' } ] }, http2: { servers: [ { url: '" + http2 + "' } ] } }\nroutes:\n" +
         routes_to("http1") + routes_to("http2");
}

// What came of a row in one version.
struct Outcome {
  Answer answer;
  std::string record;
};

std::string mark_of(const RequestRow& row, const std::string& server, Spoken version) {
  return row.name + " / " + server + " / " + (version == Spoken::http1 ? "1" : "2");
}

// The daemon in front of a server of each version, its listeners named after them.
class Stage {
 public:
  Outcome run(const RequestRow& row, const std::string& server, Spoken version) const {
    Asked request = row.asked[static_cast<std::size_t>(version)];
    const std::string mark = mark_of(row, server, version);
    // Behind pseudo-fields that stand among the fields, and in the first head of a row that brings
    // a second one along.
    auto& fields = request.fields;
    fields.emplace(version == Spoken::http1 ? fields.begin() : fields.end(), "x-row", mark);
    Outcome out;
    out.answer = ask(daemon_.port(server), version, request);
    out.record = recorder_.of(mark);
    return out;
  }

  /// Requests of which at least the head came.
  std::size_t begun() const { return http1_.request_count() + http2_.request_count(); }
  /// X-Row of each of these.
  std::vector<std::string> marks() const {
    std::vector<std::string> out;
    for (const Request& request : http1_.requests()) out.push_back(request.field("X-Row"));
    for (const H2Message& request : http2_.requests()) out.push_back(request.field("x-row"));
    return out;
  }

 private:
  void serve_http1(OriginExchange& exchange) {
    if (exchange.request().has("Expect")) exchange.send("HTTP/1.1 100 Continue\r\n\r\n");
    exchange.read_body();
    recorder_.note(exchange.request().field("X-Row"), lines_of(exchange.request()));
    exchange.respond("seen", 200, "X-From: server\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n");
  }

  void serve_http2(const H2Request& request) {
    if (request->request().has("expect")) request->interim(100);
    request->read_body();
    const H2Message message = request->request();
    recorder_.note(message.field("x-row"), lines_of(message));
    request->respond("seen", 200,
                     {{"x-from", "server"}, {"set-cookie", "a=1"}, {"set-cookie", "b=2"}});
  }

  Recorder recorder_;
  Origin http1_{[this](OriginExchange& exchange) { serve_http1(exchange); }};
  H2Origin http2_{[this](const H2Request& request) { serve_http2(request); }};
  Daemon daemon_{config(http1_.url(), http2_.url())};
};

// Whether it was passed on or refused as the row says.
void check_verdict(const Outcome& outcome, const Verdict& verdict) {
  if (verdict.passed) {
    EXPECT_EQ(outcome.answer.status, 200);
    EXPECT_NE(outcome.record, "") << "nothing came to the server";
    return;
  }
  EXPECT_EQ(outcome.record, "") << "it came to the server";
  const Answer& answer = outcome.answer;
  const bool cut = answer.reset ? answer.reset == h2::kProtocolError : answer.status == 0;
  if (verdict.malformed && cut) return;
  EXPECT_EQ(outcome.answer.status, verdict.status) << "reset " << outcome.answer.reset.value_or(0);
}

// Both versions in front of one server; what it got.
std::string check_server(const Stage& stage, const RequestRow& row, const std::string& server) {
  SCOPED_TRACE("the server speaks " + server);
  std::array<Outcome, 2> outcomes;
  for (const Spoken version : kSpoken) {
    const auto at = static_cast<std::size_t>(version);
    SCOPED_TRACE(version == Spoken::http1 ? "over HTTP/1.1" : "over HTTP/2");
    const std::size_t before = stage.begun();
    outcomes[at] = stage.run(row, server, version);
    check_verdict(outcomes[at], row.verdict[at]);
    EXPECT_TRUE(row.verdict[at].passed || row.may_begin || stage.begun() == before);
    for (const std::string& line : row.seen) {
      EXPECT_TRUE(!row.verdict[at].passed || shows(outcomes[at].record, line))
          << line << " in\n"
          << outcomes[at].record;
    }
  }
  const auto& [one, two] = outcomes;
  const bool both = row.verdict[0].passed && row.verdict[1].passed;
  const bool neither = !row.verdict[0].passed && !row.verdict[1].passed;
  if (both) {
    EXPECT_EQ(one.record, two.record);
  }
  if (both || (neither && one.answer.status != 0 && two.answer.status != 0)) {
    EXPECT_EQ(one.answer.lines, two.answer.lines);
  }
  return row.verdict[0].passed ? one.record : two.record;
}

// What servers of different versions get differs in how an empty body is framed, and the listener.
std::string folded(const std::string& record) {
  std::string out = without(without(record, "x-forwarded-port"), "te");
  return shows(record, "no body") ? without(out, "length") : out;
}

void check_row(const Stage& stage, const RequestRow& row) {
  SCOPED_TRACE(row.name);
  try {
    const std::string one = check_server(stage, row, "http1");
    const std::string two = check_server(stage, row, "http2");
    EXPECT_EQ(folded(one), folded(two));
  } catch (const std::exception& problem) {
    ADD_FAILURE() << problem.what();
  }
}

// That nothing came late, and nothing came that no row asked for.
void check_marks(const Stage& stage, const std::vector<RequestRow>& rows) {
  std::set<std::string> expected;
  for (const RequestRow& row : rows) {
    for (const Spoken version : kSpoken) {
      if (!row.may_begin && !row.verdict[static_cast<std::size_t>(version)].passed) continue;
      for (const char* server : {"http1", "http2"}) expected.insert(mark_of(row, server, version));
    }
  }
  for (const std::string& mark : stage.marks())
    EXPECT_TRUE(expected.erase(mark) == 1) << "not expected, or twice: " << mark;
}

constexpr std::array kTables{"methods", "targets",  "authorities", "fields", "connections",
                             "lengths", "contents", "forwarding",  "routes"};

std::string file_of(const std::string& table) { return table + ".md"; }

class DifferentialRequests : public ::testing::TestWithParam<const char*> {};

}  // namespace

TEST_P(DifferentialRequests, MeanTheSameInEveryVersion) {
  const std::vector<RequestRow> rows = load_requests(file_of(GetParam()));
  const Stage stage;
  for (const RequestRow& row : rows) check_row(stage, row);
  check_marks(stage, rows);
}

INSTANTIATE_TEST_SUITE_P(Tables, DifferentialRequests, ::testing::ValuesIn(kTables),
                         [](const auto& table) { return std::string(table.param); });

TEST(DifferentialTables, HoldEnoughRequestsEachWithANameOfItsOwn) {
  constexpr std::size_t kRequests = 150;
  std::set<std::string> names;
  std::size_t rows = 0;
  for (const char* table : kTables) {
    for (const RequestRow& row : load_requests(file_of(table))) {
      EXPECT_TRUE(names.insert(row.name).second) << row.name;
      ++rows;
    }
  }
  EXPECT_GE(rows, kRequests);
}

}  // namespace revproxyd::testing::differential
