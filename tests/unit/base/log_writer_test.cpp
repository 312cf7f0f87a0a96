#include "revproxyd/base/log_writer.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/base/log_writer_fixture.h"
#include "tests/unit/base/stderr_replaced.h"

namespace revproxyd {
namespace {

using namespace std::chrono_literals;

/// Collects what a writer reports.
class Reports {
 public:
  LogWriterOptions options(const std::string& path) {
    LogWriterOptions options;
    options.path = path;
    options.report = [this](std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
      times_.push_back(Clock::now());
      more_.notify_all();
    };
    return options;
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return more_.wait_for(lock, kPatience, [&] { return lines_.size() >= count; });
  }
  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  std::vector<TimePoint> times() {
    const std::lock_guard lock(mutex_);
    return times_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<std::string> lines_;
  std::vector<TimePoint> times_;
};

/// While it lives no file of this process may grow beyond so many bytes: a write that would is cut
/// short, and the next one fails with EFBIG.
class SmallFiles {
 public:
  explicit SmallFiles(rlim_t size) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    rlimit small = before_;
    small.rlim_cur = size;
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  }
  ~SmallFiles() {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0);
    std::signal(SIGXFSZ, ignored_);
  }
  SmallFiles(const SmallFiles&) = delete;
  SmallFiles& operator=(const SmallFiles&) = delete;

 private:
  rlimit before_{};
  void (*ignored_)(int) = std::signal(SIGXFSZ, SIG_IGN);
};

/// A name that leads to one device or file after the other.
void point(const std::string& link, const std::string& target) {
  std::filesystem::remove(link);
  std::filesystem::create_symlink(target, link);
}

TEST_F(LogWriterTest, AppendsBatchesInOrder) {
  std::ofstream(path("log")) << "before\n";
  auto writer = open(path("log"));
  EXPECT_TRUE(writer->submit("one\ntwo\n"));
  EXPECT_TRUE(writer->submit("three\n"));
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(text(path("log")), "before\none\ntwo\nthree\n");
  EXPECT_EQ(writer->dropped_lines(), 0U);
  EXPECT_EQ(writer->pending_bytes(), 0U);
}

TEST_F(LogWriterTest, MakesFilesThatOthersCannotRead) {
  auto writer = open(path("log"));
  struct stat status {};
  ASSERT_EQ(::stat(path("log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0007, 0U);
}

TEST_F(LogWriterTest, SaysWhyAFileCannotBeOpened) {
  LogWriterOptions options;
  options.path = path("missing/log");
  const auto writer = LogWriter::open(options);
  ASSERT_FALSE(writer.has_value());
  EXPECT_EQ(writer.error().code(), Code::system);
  EXPECT_EQ(writer.error().sys(), ENOENT);
}

TEST_F(LogWriterTest, DoesNotWaitForTheReaderOfAFifo) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  LogWriterOptions options;
  options.path = path("fifo");
  const auto writer = LogWriter::open(options);
  ASSERT_FALSE(writer.has_value());
  EXPECT_EQ(writer.error().sys(), ENXIO);
}

TEST_F(LogWriterTest, ReopenGoesOnInANewFileAfterARename) {
  auto writer = open(path("log"));
  writer->submit("old\n");
  ASSERT_TRUE(writer->flush(kPatience));
  std::filesystem::rename(path("log"), path("log.1"));
  ASSERT_TRUE(writer->reopen().has_value());
  writer->submit("new\n");
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(text(path("log.1")), "old\n");
  EXPECT_EQ(text(path("log")), "new\n");
}

TEST_F(LogWriterTest, KeepsTheOldFileWhenReopenFails) {
  std::filesystem::create_directory(path("dir"));
  auto writer = open(path("dir/log"));
  std::filesystem::rename(path("dir"), path("moved"));
  const auto reopened = writer->reopen();
  ASSERT_FALSE(reopened.has_value());
  EXPECT_EQ(reopened.error().sys(), ENOENT);
  writer->submit("line\n");
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(text(path("moved/log")), "line\n");
}

TEST_F(LogWriterTest, KeepsLinesUntilTheDiskHasRoom) {
  Reports reports;
  point(path("log"), "/dev/full");
  auto writer = open(reports.options(path("log")));
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const std::string line = std::to_string(i) + "\n";
    EXPECT_TRUE(writer->submit(line));
    expected += line;
  }
  ASSERT_TRUE(reports.wait_for(1));
  point(path("log"), path("room"));
  ASSERT_TRUE(writer->reopen().has_value());
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(text(path("room")), expected);
  EXPECT_EQ(writer->dropped_lines(), 0U);
}

TEST_F(LogWriterTest, BoundsWhatWaitsForAFullDiskAndCountsTheRest) {
  auto writer = open("/dev/full", 64 * 1024);
  const std::string batch = std::string(999, 'x') + "\n";
  std::uint64_t refused = 0;
  for (int i = 0; i < 1000; ++i) {
    if (!writer->submit(batch)) ++refused;
    EXPECT_LE(writer->pending_bytes(), 64U * 1024U);
  }
  EXPECT_GT(refused, 900U);
  EXPECT_EQ(writer->dropped_lines(), refused);
}

TEST_F(LogWriterTest, StopDoesNotWaitForAFullDisk) {
  auto writer = open("/dev/full");
  writer->submit("one\ntwo\n");
  const TimePoint start = Clock::now();
  writer->flush_and_stop(kPatience);
  EXPECT_LT(Clock::now() - start, kPatience / 2);
  EXPECT_EQ(writer->dropped_lines(), 2U);
}

TEST_F(LogWriterTest, TellsAtTheEndWhatWasLostHoweverSoon) {
  Reports reports;
  auto writer = open(reports.options("/dev/full"));
  writer->submit("line\n");
  ASSERT_TRUE(reports.wait_for(1));
  writer->flush_and_stop(kPatience);
  ASSERT_EQ(reports.lines().size(), 2U);
  EXPECT_EQ(reports.lines()[1], "log /dev/full: No space left on device; lines lost so far: 1");
}

TEST_F(LogWriterTest, NothingStandsBehindHalfALineThatAStopHasLeft) {
  auto small = std::make_unique<SmallFiles>(3);
  std::atomic<bool> stopping = false;
  Reports reports;
  LogWriterOptions options = reports.options(path("log"));
  options.report_interval = Duration{0};
  // The disk has room again just as the first batch is given up.
  options.report = [&, report = options.report](std::string_view line) {
    if (stopping) small.reset();
    report(line);
  };
  auto writer = open(options);
  writer->submit("broken\n");
  ASSERT_TRUE(reports.wait_for(1));
  writer->submit("next\n");
  stopping = true;
  writer->flush_and_stop(kPatience);
  EXPECT_EQ(text(path("log")), "bro");
  EXPECT_EQ(writer->dropped_lines(), 2U);
}

TEST_F(LogWriterTest, ReportsAFullDiskOnceInTheInterval) {
  Reports reports;
  LogWriterOptions options = reports.options("/dev/full");
  options.report_interval = Duration{1000};  // of more than two tries
  auto writer = open(options);
  writer->submit("line\n");
  ASSERT_TRUE(reports.wait_for(3));
  EXPECT_EQ(reports.lines()[0], "log /dev/full: No space left on device; lines lost so far: 0");
  const std::vector<TimePoint> times = reports.times();
  // The interval is taken between two looks at the clock, each before the report's own.
  for (std::size_t i = 2; i < times.size(); ++i)
    EXPECT_GT(times[i] - times[i - 2], options.report_interval);
}

TEST_F(LogWriterTest, GoesOnAndSaysSoWhenTheTroubleIsOver) {
  Reports reports;
  point(path("log"), "/dev/full");
  auto writer = open(reports.options(path("log")));
  writer->submit("line\n");
  ASSERT_TRUE(reports.wait_for(1));
  point(path("log"), "/dev/null");
  ASSERT_TRUE(writer->reopen().has_value());
  ASSERT_TRUE(reports.wait_for(2));
  EXPECT_EQ(reports.lines()[1], "log " + path("log") + ": writing again; lines lost so far: 0");
}

TEST_F(LogWriterTest, TellsOfASecondTroubleLaterWithItsOwnCause) {
  const NarrowStderr socket;
  Reports reports;
  LogWriterOptions options = reports.options("stderr");
  options.report_interval = Duration{4000};
  auto writer = open(options);
  const auto write = [&](const std::string& line) {
    writer->submit(line + "\n");
    ASSERT_TRUE(writer->flush(kPatience));
    socket.empty();
  };
  write(NarrowStderr::too_long());
  write("line");
  ASSERT_EQ(reports.lines().size(), 2U);
  write(NarrowStderr::too_long());
  const TimePoint give_up = Clock::now() + kPatience;
  while (reports.lines().size() < 3 && Clock::now() < give_up) write("line");
  ASSERT_EQ(reports.lines().size(), 3U);
  EXPECT_EQ(reports.lines()[2],
            "log stderr: writing again after: Message too long; lines lost so far: 2");
}

TEST_F(LogWriterTest, FinishesATornLineBeforeTheNextOne) {
  Reports reports;
  auto writer = open(reports.options(path("log")));
  {
    const SmallFiles small(13);
    writer->submit("whole\nbroken line\n");
    ASSERT_TRUE(reports.wait_for(1));
    EXPECT_EQ(text(path("log")), "whole\nbroken ");
  }
  writer->submit("next\n");
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(text(path("log")), "whole\nbroken line\nnext\n");
  EXPECT_EQ(writer->dropped_lines(), 0U);
}

TEST_F(LogWriterTest, NeverPutsTheRestOfALineIntoANewFile) {
  Reports reports;
  auto writer = open(reports.options(path("log")));
  {
    const SmallFiles small(3);
    writer->submit("broken\nnext\n");
    ASSERT_TRUE(reports.wait_for(1));
    std::filesystem::rename(path("log"), path("log.1"));
    ASSERT_TRUE(writer->reopen().has_value());
  }
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(text(path("log.1")), "bro");
  EXPECT_EQ(text(path("log")), "next\n");
  EXPECT_EQ(writer->dropped_lines(), 1U);
}

TEST_F(LogWriterTest, BoundsWhatWaitsForASlowReaderAndCountsTheRest) {
  Fifo fifo(path("fifo"));
  auto writer = open(path("fifo"), 64 * 1024);
  const std::string batch = std::string(999, 'x') + "\n";
  std::uint64_t taken = 0;
  std::uint64_t refused = 0;
  for (int i = 0; i < 1000; ++i) {
    writer->submit(batch) ? ++taken : ++refused;
    EXPECT_LE(writer->pending_bytes(), 64U * 1024U);
  }
  EXPECT_GT(refused, 900U);
  EXPECT_EQ(writer->dropped_lines(), refused);
  const std::string all = fifo.drain(*writer);
  EXPECT_EQ(all.size(), taken * batch.size());
  EXPECT_TRUE(writer->submit(batch));
}

TEST_F(LogWriterTest, BoundsTinyBatchesToo) {
  Fifo fifo(path("fifo"));
  auto writer = open(path("fifo"), 64 * 1024);
  int taken = 0;
  for (int i = 0; i < 100000; ++i) taken += writer->submit("\n") ? 1 : 0;
  EXPECT_LT(taken, 64 * 1024 + 2 * 4096);  // what waits, and what may be under way or in the pipe
}

TEST_F(LogWriterTest, LargeBuffersThatWaitWithFewLinesAreFilledUp) {
  Fifo fifo(path("fifo"));
  auto writer = open(path("fifo"), 512 * 1024);
  const std::string line = std::string(99, 'x') + "\n";
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    Buffer batch(128 * 1024);
    batch.append(line);
    EXPECT_TRUE(writer->submit(batch)) << i;
    EXPECT_TRUE(batch.empty());
    expected += line;
  }
  EXPECT_EQ(fifo.drain(*writer), expected);
}

TEST_F(LogWriterTest, MemoryComesBackToWhoHandsOver) {
  auto writer = open(path("log"));
  Buffer batch(16 * 1024);
  batch.append("line\n");
  const char* memory = batch.held().data();
  EXPECT_TRUE(writer->submit(batch));
  ASSERT_TRUE(writer->flush(kPatience));
  batch.append("line\n");
  EXPECT_TRUE(writer->submit(batch));
  batch.append("line\n");
  EXPECT_EQ(batch.held().data(), memory);
}

TEST_F(LogWriterTest, DoesNotKeepTheMemoryOfAVeryLongLine) {
  auto writer = open(path("log"));
  Buffer batch;
  batch.append(std::string(1024 * 1024, 'x') + "\n");
  EXPECT_TRUE(writer->submit(batch));
  ASSERT_TRUE(writer->flush(kPatience));
  batch.append("line\n");
  EXPECT_TRUE(writer->submit(batch));
  EXPECT_LE(batch.capacity(), 128U * 1024U);
  auto small = open(path("other"), 64 * 1024);
  batch.append(std::string(1024 * 1024, 'x') + "\n");
  EXPECT_FALSE(small->submit(batch));
  EXPECT_LE(batch.capacity(), 128U * 1024U);
}

TEST_F(LogWriterTest, KeepsLinesWholeInAPipeThatOthersWriteTo) {
  Fifo fifo(path("fifo"));
  auto writer = open(path("fifo"));
  auto other = open(path("fifo"));
  std::string mine;
  std::string theirs;
  for (int i = 0; i < 200; ++i) {
    mine += std::string(99, 'm') + "\n";
    theirs += std::string(150, 't') + "\n";
  }
  writer->submit(mine);
  other->submit(theirs);
  std::string all = fifo.drain(*writer);
  all += fifo.drain(*other);
  std::map<std::string, int> lines;
  std::istringstream in(all);
  for (std::string line; std::getline(in, line);) ++lines[line];
  EXPECT_EQ(lines, (std::map<std::string, int>{{std::string(99, 'm'), 200},
                                               {std::string(150, 't'), 200}}));
}

TEST_F(LogWriterTest, GoesOnWithTheNextReaderOfAFifo) {
  Reports reports;
  auto first = std::make_unique<Fifo>(path("fifo"));
  auto writer = open(reports.options(path("fifo")));
  first.reset();
  writer->submit("a\nb\n");
  ASSERT_TRUE(reports.wait_for(1));
  Fifo next(path("fifo"));
  EXPECT_EQ(next.drain(*writer), "a\nb\n");
  EXPECT_EQ(writer->dropped_lines(), 0U);
}

TEST_F(LogWriterTest, StopGivesUpOnABlockedReaderAtItsLimit) {
  Fifo fifo(path("fifo"));
  auto writer = open(path("fifo"));
  const std::string line = std::string(999, 'x') + "\n";
  for (int i = 0; i < 20; ++i) writer->submit(line);
  const TimePoint start = Clock::now();
  writer->flush_and_stop(50ms);
  EXPECT_LT(Clock::now() - start, 10s);
  EXPECT_EQ(writer->dropped_lines(), 16U);  // the pipe holds 4096 bytes
}

TEST_F(LogWriterTest, StopWritesWhatIsPendingAndRefusesWhatComesLater) {
  auto writer = open(path("log"));
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = std::to_string(i) + "\n";
    writer->submit(line);
    expected += line;
  }
  writer->flush_and_stop(kPatience);
  EXPECT_FALSE(writer->submit("late\n"));
  EXPECT_EQ(writer->dropped_lines(), 1U);
  EXPECT_EQ(text(path("log")), expected);
}

TEST_F(LogWriterTest, ReopenRescuesAWriterThatABlockedReaderHolds) {
  Fifo fifo(path("log"));
  auto writer = open(path("log"));
  const std::string line = std::string(999, 'x') + "\n";
  for (int i = 0; i < 20; ++i) writer->submit(line);
  std::filesystem::rename(path("log"), path("fifo"));
  ASSERT_TRUE(writer->reopen().has_value());
  EXPECT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(writer->dropped_lines(), 0U);
  EXPECT_EQ(text(path("log")).size() % line.size(), 0U);
}

TEST_F(LogWriterTest, TakesBatchesFromManyThreadsWithoutLosingOrMixingLines) {
  auto writer = open(path("log"));
  constexpr int kThreads = 4;
  constexpr int kLines = 5000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      LogBatch batch(*writer);
      for (int i = 0; i < kLines; ++i) batch.append(std::to_string(t) + " " + std::to_string(i));
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(writer->reopen().has_value());
  for (std::thread& thread : threads) thread.join();
  writer->flush_and_stop(kPatience);
  EXPECT_EQ(writer->dropped_lines(), 0U);
  std::ifstream in(path("log"));
  std::vector<int> next(kThreads, 0);
  for (int t = 0, i = 0; in >> t >> i;) EXPECT_EQ(i, next[static_cast<std::size_t>(t)]++);
  EXPECT_EQ(next, std::vector<int>(kThreads, kLines));
}

}  // namespace
}  // namespace revproxyd
