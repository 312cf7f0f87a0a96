#include "revproxyd/base/log_writer.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/base/log_writer_fixture.h"

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
    };
    return options;
  }
  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

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

TEST_F(LogWriterTest, CountsEveryLineThatAFullDiskTakes) {
  auto writer = open("/dev/full");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(writer->submit("one\ntwo\n"));
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(writer->dropped_lines(), 200U);
}

TEST_F(LogWriterTest, ReportsAFullDiskOnceInTheInterval) {
  Reports reports;
  auto writer = open(reports.options("/dev/full"));
  for (int i = 0; i < 50; ++i) {
    writer->submit("line\n");
    ASSERT_TRUE(writer->flush(kPatience));
  }
  ASSERT_EQ(reports.lines().size(), 1U);
  EXPECT_EQ(reports.lines()[0], "log /dev/full: No space left on device; lines lost so far: 1");
}

TEST_F(LogWriterTest, GoesOnAndSaysSoWhenTheTroubleIsOver) {
  Reports reports;
  std::filesystem::create_symlink("/dev/full", path("log"));
  auto writer = open(reports.options(path("log")));
  writer->submit("lost\n");
  ASSERT_TRUE(writer->flush(kPatience));
  std::filesystem::remove(path("log"));
  ASSERT_TRUE(writer->reopen().has_value());
  writer->submit("kept\n");
  writer->flush_and_stop(kPatience);
  EXPECT_EQ(text(path("log")), "kept\n");
  EXPECT_EQ(writer->dropped_lines(), 1U);
  ASSERT_EQ(reports.lines().size(), 2U);
  EXPECT_EQ(reports.lines()[1], "log " + path("log") + ": writing again; lines lost so far: 1");
}

TEST_F(LogWriterTest, TellsOfASecondTroubleLaterWithItsOwnCause) {
  Reports reports;
  LogWriterOptions options = reports.options(path("log"));
  options.report_interval = Duration{4000};
  std::filesystem::create_symlink("/dev/full", path("log"));
  auto writer = open(options);
  for (const char* target : {"/dev/null", "/dev/full", "/dev/null"}) {
    writer->submit("line\n");
    ASSERT_TRUE(writer->flush(kPatience));
    std::filesystem::remove(path("log"));
    std::filesystem::create_symlink(target, path("log"));
    ASSERT_TRUE(writer->reopen().has_value());
  }
  const TimePoint give_up = Clock::now() + kPatience;
  while (reports.lines().size() < 3 && Clock::now() < give_up) {
    writer->submit("line\n");
    ASSERT_TRUE(writer->flush(kPatience));
  }
  ASSERT_EQ(reports.lines().size(), 3U);
  EXPECT_EQ(reports.lines()[2], "log " + path("log") +
                                    ": writing again after: No space left on device; lines lost "
                                    "so far: 2");
}

TEST_F(LogWriterTest, FinishesATornLineBeforeTheNextOne) {
  // A file may not grow beyond this limit: a write that would is cut short and the next one fails
  // with EFBIG.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 13;
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  auto writer = open(path("log"));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  writer->submit("whole\nbroken line\ndropped\n");
  const bool tried = writer->flush(kPatience);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, ignored);
  ASSERT_TRUE(tried);
  EXPECT_EQ(text(path("log")), "whole\nbroken ");
  EXPECT_EQ(writer->dropped_lines(), 1U);
  writer->submit("next\n");
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(text(path("log")), "whole\nbroken line\nnext\n");
  EXPECT_EQ(writer->dropped_lines(), 1U);
}

TEST_F(LogWriterTest, NeverPutsTheRestOfALineIntoANewFile) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 3;
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  auto writer = open(path("log"));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  writer->submit("broken\n");
  const bool tried = writer->flush(kPatience);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, ignored);
  ASSERT_TRUE(tried);
  std::filesystem::rename(path("log"), path("log.1"));
  ASSERT_TRUE(writer->reopen().has_value());
  writer->submit("next\n");
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

TEST_F(LogWriterTest, SurvivesAReaderThatWentAway) {
  Fifo fifo(path("fifo"));
  auto writer = open(path("fifo"));
  fifo.close();
  writer->submit("a\nb\n");
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(writer->dropped_lines(), 2U);
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
