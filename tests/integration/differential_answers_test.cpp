// An answer of an HTTP/1.1 server means the same to clients of HTTP/1.1, HTTP/1.0 and HTTP/2. The
// answers stand in tests/integration/differential/answers.md.

#include <set>

#include <gtest/gtest.h>

#include "tests/integration/differential_peers.h"
#include "tests/support/setups.h"

namespace revproxyd::testing::differential {

namespace {

constexpr std::size_t kAnswers = 40;

// Gives the answer of the row whose number is the path.
void serve(OriginExchange& exchange, const std::vector<AnswerRow>& rows) {
  exchange.read_body();
  const AnswerRow& row = rows.at(std::stoul(exchange.request().target.substr(1)));
  exchange.send(row.bytes);
  if (row.closes) exchange.close();
}

Answer ask_http2(std::uint16_t port, const AnswerRow& row, const std::string& path) {
  Asked asked;
  asked.method = row.method;
  asked.path = path;
  asked.fields = {{"te", "trailers"}};
  return ask(port, Spoken::http2, asked);
}

// What HTTP/1.0 has no form for.
bool is_newer(const std::string& line) {
  return line.starts_with("interim") || line.starts_with("trailer");
}

void check_answer(const AnswerRow& row, const Answer& answer, bool http10) {
  EXPECT_EQ(answer.status, row.status);
  if (row.broken) return;
  EXPECT_TRUE(answer.whole);
  EXPECT_FALSE(answer.reset);
  for (const std::string& line : row.seen) {
    const bool there = shows(answer.lines, line);
    if (http10 && is_newer(line)) {
      EXPECT_FALSE(there) << line;
    } else {
      EXPECT_TRUE(there) << line << " in\n" << answer.lines;
    }
  }
}

// Lines that all versions can say.
std::string common(const std::string& lines) {
  std::string out;
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = lines.find('\n', at) + 1;
    if (!is_newer(lines.substr(at, end - at))) out += lines.substr(at, end - at);
    at = end;
  }
  return out;
}

void check_row(const AnswerRow& row, std::uint16_t port, const std::string& path) {
  const Answer http1 = ask_until_end(port, "1.1", row.method, path);
  const Answer http10 = ask_until_end(port, "1.0", row.method, path);
  const Answer http2 = ask_http2(port, row, path);
  const auto check = [&](const char* version, const Answer& answer, bool old) {
    SCOPED_TRACE(version);
    check_answer(row, answer, old);
  };
  check("HTTP/1.1", http1, false);
  check("HTTP/1.0", http10, true);
  check("HTTP/2", http2, false);
  if (row.broken) {
    EXPECT_FALSE(http1.whole);
    EXPECT_FALSE(http2.whole);
    EXPECT_TRUE(http2.reset);
    return;
  }
  EXPECT_EQ(http1.lines, http2.lines);
  EXPECT_EQ(common(http1.lines), common(http10.lines));
}

}  // namespace

TEST(DifferentialAnswers, MeanTheSameInEveryVersion) {
  const std::vector<AnswerRow> rows = load_answers("answers.md");
  const Proxy proxy([&](OriginExchange& exchange) { serve(exchange, rows); });
  for (std::size_t at = 0; at < rows.size(); ++at) {
    SCOPED_TRACE(rows[at].name);
    try {
      check_row(rows[at], proxy.daemon.port(), "/" + std::to_string(at));
    } catch (const std::exception& problem) {
      ADD_FAILURE() << problem.what();
    }
  }
}

TEST(DifferentialAnswers, AreEnoughEachWithANameOfItsOwn) {
  std::set<std::string> names;
  for (const AnswerRow& row : load_answers("answers.md"))
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
  EXPECT_GE(names.size(), kAnswers);
}

}  // namespace revproxyd::testing::differential
