#include "revproxyd/base/log.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/base/stderr_replaced.h"

namespace revproxyd::log {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPatience{20000};

class LogTest : public testing::Test {
 protected:
  LogTest() {
    std::string name = (std::filesystem::temp_directory_path() / "revproxyd-log-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~LogTest() override {
    capture({});
    EXPECT_TRUE(configure(Options{}).has_value());
    stop(kPatience);
    std::filesystem::remove_all(directory_);
  }

  void capture_lines() {
    capture([this](Level level, std::string_view text) { lines_.emplace_back(level, text); });
  }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  Options to(const std::string& name, Level level = Level::info) const {
    return Options{level, path(name)};
  }
  static std::string text(const std::string& file) {
    std::ostringstream out;
    out << std::ifstream(file).rdbuf();
    return out.str();
  }

  std::vector<std::pair<Level, std::string>> lines_;

 private:
  std::filesystem::path directory_;
};

using Lines = std::vector<std::pair<Level, std::string>>;

TEST_F(LogTest, WritesTimeLevelAndText) {
  ASSERT_TRUE(configure(to("log", Level::debug)).has_value());
  debug("one");
  info("two");
  warn("three");
  log::error("four");
  ASSERT_TRUE(flush(kPatience));
  const std::string time = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z )";
  const std::regex expected(time + "debug: one\n" + time + "info: two\n" + time +
                            "warning: three\n" + time + "error: four\n");
  EXPECT_TRUE(std::regex_match(text(path("log")), expected)) << text(path("log"));
}

TEST_F(LogTest, LeavesOutWhatIsBelowTheLevel) {
  capture_lines();
  ASSERT_TRUE(configure(to("log", Level::warn)).has_value());
  info("no");
  Line(Level::info) << "no";
  lines(Level::info, "no");
  warn("yes");
  EXPECT_EQ(lines_, (Lines{{Level::warn, "yes"}}));
  EXPECT_FALSE(enabled(Level::info));
  EXPECT_TRUE(enabled(Level::error));
}

TEST_F(LogTest, LineJoinsTextNumbersDurationsAndErrors) {
  capture_lines();
  Line(Level::info) << "a " << std::string("b") << ' ' << -5 << ' ' << 7U << ' ' << true << ' '
                    << Duration{30} << ' ' << Error(Code::refused, "no listener", ECONNREFUSED);
  Line(Level::info) << Error(Code::no_route);
  EXPECT_EQ(lines_,
            (Lines{{Level::info, "a b -5 7 true 30 ms refused: no listener: Connection refused"},
                   {Level::info, "no_route"}}));
}

TEST_F(LogTest, OneCallIsOneLineWhateverTheText) {
  ASSERT_TRUE(configure(to("log")).has_value());
  info("a\nb\r\x1b[31m\x7f");
  ASSERT_TRUE(flush(kPatience));
  EXPECT_TRUE(text(path("log")).ends_with("info: a\\x0ab\\x0d\\x1b[31m\\x7f\n"));
}

TEST_F(LogTest, ControlCharactersBeyondAsciiAreEscapedAndLettersAreNot) {
  ASSERT_TRUE(configure(to("log")).has_value());
  info(
      "\xc2\x9b"
      "31m \xc2\x80\xc2\x9f \xc2\xa0\xc3\xa9 \xc2z");
  ASSERT_TRUE(flush(kPatience));
  EXPECT_TRUE(text(path("log"))
                  .ends_with("info: \\xc2\\x9b31m \\xc2\\x80\\xc2\\x9f \xc2\xa0\xc3\xa9 \xc2z\n"));
}

TEST_F(LogTest, EscapedTextIsPrintableAndUnambiguous) {
  EXPECT_EQ(escaped("plain text"), "plain text");
  EXPECT_EQ(escaped("a\"b\\x0a\n\xc3\xa9"), "a\\x22b\\x5cx0a\\x0a\\xc3\\xa9");
  EXPECT_EQ(escaped("abcdef", 3), "abc...");
  EXPECT_EQ(escaped("abc", 3), "abc");
}

TEST_F(LogTest, LinesWritesAReportLineByLineWithoutALimit) {
  capture_lines();
  std::string report;
  for (int i = 0; i < 25; ++i) report += "same\n";
  lines(Level::error, report + "last");
  ASSERT_EQ(lines_.size(), 26U);
  EXPECT_EQ(lines_.front().second, "same");
  EXPECT_EQ(lines_.back().second, "last");
}

TEST_F(LogTest, HoldsBackAFloodOfOneLineAndSaysSo) {
  ASSERT_TRUE(configure(to("log")).has_value());
  const TimePoint start = Clock::now();
  for (int i = 0; i < 1000; ++i) Line(Level::warn, "flood") << "flood " << i;
  const auto windows = 1 + (Clock::now() - start) / 1s;
  stop(kPatience);
  const std::string written = text(path("log"));
  EXPECT_LE(std::count(written.begin(), written.end(), '\n'), 11 * (windows + 1));
  EXPECT_NE(written.find("more like: flood"), std::string::npos);
}

TEST_F(LogTest, AFileThatCannotBeOpenedLeavesAllAsItWas) {
  ASSERT_TRUE(configure(to("log")).has_value());
  const auto configured = configure(to("missing/log", Level::error));
  ASSERT_FALSE(configured.has_value());
  EXPECT_EQ(configured.error().code(), Code::system);
  EXPECT_EQ(configured.error().sys(), ENOENT);
  info("still here");
  ASSERT_TRUE(flush(kPatience));
  EXPECT_TRUE(text(path("log")).ends_with("info: still here\n"));
}

TEST_F(LogTest, AReloadMovesToAnotherFileWithoutLosingLines) {
  ASSERT_TRUE(configure(to("a")).has_value());
  info("first");
  ASSERT_TRUE(configure(to("b")).has_value());
  info("second");
  ASSERT_TRUE(flush(kPatience));
  EXPECT_TRUE(text(path("a")).ends_with("info: first\n"));
  EXPECT_TRUE(text(path("b")).ends_with("info: second\n"));
}

TEST_F(LogTest, ReopenGoesOnInANewFileAfterARename) {
  ASSERT_TRUE(configure(to("log")).has_value());
  info("old");
  ASSERT_TRUE(flush(kPatience));
  std::filesystem::rename(path("log"), path("log.1"));
  ASSERT_TRUE(reopen().has_value());
  info("new");
  ASSERT_TRUE(flush(kPatience));
  EXPECT_TRUE(text(path("log.1")).ends_with("info: old\n"));
  EXPECT_TRUE(text(path("log")).ends_with("info: new\n"));
}

TEST_F(LogTest, AFullDiskCostsLinesOnly) {
  const std::uint64_t before = dropped_lines();
  ASSERT_TRUE(configure(Options{Level::info, "/dev/full"}).has_value());
  for (int i = 0; i < 5; ++i) info("line " + std::to_string(i));
  stop(kPatience);
  EXPECT_GE(dropped_lines(), before + 5);
}

TEST_F(LogTest, SaysHowManyLinesItLostOnceItCanWriteAgain) {
  std::filesystem::create_symlink("/dev/full", path("log"));
  ASSERT_TRUE(configure(to("log")).has_value());
  const std::string line(8000, 'x');
  for (std::uint64_t before = dropped_lines(); dropped_lines() == before;) lines(Level::info, line);
  std::filesystem::remove(path("log"));
  ASSERT_TRUE(reopen().has_value());
  ASSERT_TRUE(flush(kPatience));
  info("kept");
  ASSERT_TRUE(flush(kPatience));
  EXPECT_NE(text(path("log")).find("warning: this log lost lines: "), std::string::npos);
  EXPECT_TRUE(text(path("log")).ends_with("info: kept\n"));
}

TEST_F(LogTest, ABlockedStandardErrorPipeHoldsNobodyUp) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  const std::uint64_t before = dropped_lines();
  {
    const StderrReplaced replaced(ends[1]);
    ASSERT_TRUE(configure(Options{}).has_value());
    const std::string line(8000, 'x');
    const TimePoint start = Clock::now();
    for (int i = 0; i < 500; ++i) lines(Level::info, line);
    EXPECT_LT(Clock::now() - start, 10s);
    stop(10ms);
    EXPECT_EQ(::fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0)
        << "what is shared with others must stay as it was";
  }
  EXPECT_GE(dropped_lines(), before + 499);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LogTest, AMessageThatASocketCannotTakeIsLostAlone) {
  const NarrowStderr socket;
  ASSERT_TRUE(configure(Options{}).has_value());
  lines(Level::info, NarrowStderr::too_long());
  ASSERT_TRUE(flush(kPatience));
  info("kept");
  stop(kPatience);
  EXPECT_TRUE(socket.empty().ends_with("info: kept\n"));
}

TEST_F(LogTest, ABlockedStandardErrorSocketHoldsNobodyUp) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const std::uint64_t before = dropped_lines();
  {
    const StderrReplaced replaced(ends[1]);
    ASSERT_TRUE(configure(Options{}).has_value());
    const std::string line(8000, 'x');
    for (int i = 0; i < 500; ++i) lines(Level::info, line);
    stop(10ms);
    EXPECT_EQ(::fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
  }
  EXPECT_GT(dropped_lines(), before);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LogTest, TakesLinesFromManyThreadsWhileItIsConfigured) {
  ASSERT_TRUE(configure(to("log")).has_value());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 100; ++i) info(std::to_string(t) + " " + std::to_string(i));
    });
  }
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(configure(to(i % 2 == 0 ? "other" : "log")).has_value());
  for (std::thread& thread : threads) thread.join();
  stop(kPatience);
  const std::string all = text(path("log")) + text(path("other"));
  const std::regex line("info: [0-3] [0-9]+\n");
  EXPECT_EQ(
      std::distance(std::sregex_iterator(all.begin(), all.end(), line), std::sregex_iterator()),
      400);
}

}  // namespace
}  // namespace revproxyd::log
