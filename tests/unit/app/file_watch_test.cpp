#include "app/file_watch.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/files.h"

namespace revproxyd::app {
namespace {

using testing::TempDir;
using testing::write_file;

constexpr Duration kSecond{1000};

class FileWatchTest : public ::testing::Test {
 protected:
  FileWatchTest() {
    write_file(file, "one");
    take_up({file});
  }
  void take_up(const std::vector<std::string>& files) {
    watch.watch(files, signature_of(files), false, now);
  }
  void take_up_but_not_all() { watch.watch({file}, signature_of({file}), true, now); }
  bool look() {
    now += kSecond;
    return watch.look(now);
  }
  /// How many looks it takes until one says true; 0 for none of `most`.
  int looks_until_due(int most) {
    for (int i = 1; i <= most; ++i) {
      if (look()) return i;
    }
    return 0;
  }

  TempDir directory;
  std::string file = directory.file("watched");
  TimePoint now{};
  FileWatch watch;
};

TEST_F(FileWatchTest, WhatHasNotChangedIsNotDue) { EXPECT_EQ(looks_until_due(2000), 0); }

TEST_F(FileWatchTest, AChangeIsDueOnceItHasSettled) {
  write_file(file, "three");
  EXPECT_FALSE(look());
  write_file(file, "eleven");  // another change between two looks
  EXPECT_FALSE(look());
  EXPECT_TRUE(look());
  EXPECT_EQ(looks_until_due(2000), 0);
}

TEST_F(FileWatchTest, AChangeWhileFilesAreTakenUpIsOne) {
  const std::string before = signature_of({file});
  write_file(file, "three");
  watch.watch({file}, before, false, now);
  EXPECT_EQ(looks_until_due(3), 2);
}

TEST_F(FileWatchTest, AFileThatAppearsOrGoesIsAChange) {
  const std::string other = directory.file("other");
  take_up({file, other});
  write_file(other, "");
  EXPECT_EQ(looks_until_due(3), 2);
  std::filesystem::remove(other);
  EXPECT_EQ(looks_until_due(3), 2);
}

TEST_F(FileWatchTest, WhatWasRefusedIsTriedAgainAfterGrowingPauses) {
  watch.refused(now);
  EXPECT_EQ(looks_until_due(100), 4);
  watch.refused(now);
  EXPECT_EQ(looks_until_due(100), 8);
  take_up_but_not_all();
  EXPECT_EQ(looks_until_due(100), 16);
  for (int i = 0; i < 5; ++i) {
    watch.refused(now);
    looks_until_due(1000);
  }
  watch.refused(now);
  EXPECT_EQ(looks_until_due(1000), 600);
}

TEST_F(FileWatchTest, WhatOthersTryBetweenDoesNotLengthenThePause) {
  for (int i = 0; i < 5; ++i) take_up_but_not_all();
  EXPECT_EQ(looks_until_due(100), 4);
  for (int i = 0; i < 5; ++i) take_up_but_not_all();
  EXPECT_EQ(looks_until_due(100), 8);
}

TEST_F(FileWatchTest, OnceAllIsTakenUpNothingIsTriedAgain) {
  watch.refused(now);
  take_up({file});
  EXPECT_EQ(looks_until_due(2000), 0);
}

TEST_F(FileWatchTest, AChangeIsNotKeptWaitingByEarlierFailures) {
  for (int i = 0; i < 20; ++i) watch.refused(now);
  write_file(file, "three");
  EXPECT_EQ(looks_until_due(3), 2);
}

}  // namespace
}  // namespace revproxyd::app
