#include <filesystem>
#include <string>

#include "tests/unit/base/log_writer_fixture.h"

namespace revproxyd {
namespace {

using LogBatchTest = LogWriterTest;

TEST_F(LogBatchTest, DoesNotGrowForLinesThatMayBeLong) {
  auto writer = open(path("log"));
  LogBatch batch(*writer);
  constexpr std::size_t kRoom = 40 * 1024;
  std::string expected;
  for (int i = 0; i < 400; ++i) {
    Buffer& line = batch.line(kRoom);
    ASSERT_GE(line.room().size(), kRoom);
    EXPECT_LE(line.capacity(), LogBatch::kSize) << i;
    const std::string text = std::string(4096, 'x') + "\n";
    line.append(text);
    batch.line_done();
    expected += text;
  }
  batch.flush();
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_TRUE(text(path("log")) == expected);
}

TEST_F(LogBatchTest, IsFullWhenItIsHandedOverHoweverItsBufferGrew) {
  auto writer = open(path("log"));
  LogBatch batch(*writer);
  constexpr std::size_t kRoom = 3000;
  const std::string line = std::string(399, 'x') + "\n";
  for (std::size_t size = 0; size < LogBatch::kHandOver; size += line.size()) {
    ASSERT_TRUE(writer->flush(kPatience));
    ASSERT_EQ(std::filesystem::file_size(path("log")), 0U) << "handed over with " << size;
    Buffer& at = batch.line(kRoom);
    ASSERT_GE(at.room().size(), kRoom);
    at.append(line);
    batch.line_done();
  }
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_GE(std::filesystem::file_size(path("log")), LogBatch::kHandOver);
}

TEST_F(LogBatchTest, EachMayBeFullBesideWhatElseWaits) {
  Fifo fifo(path("log"));
  constexpr std::size_t kNothing = 0;
  auto writer = open(path("log"), kNothing);
  LogBatch first(*writer);
  LogBatch second(*writer);
  const std::string line(1023, 'x');
  std::size_t lines = 0;
  for (LogBatch* batch : {&first, &second})
    for (std::size_t size = 0; size < LogBatch::kHandOver; size += line.size() + 1, ++lines)
      batch->append(line);
  EXPECT_EQ(writer->dropped_lines(), 0U);
  EXPECT_EQ(fifo.drain(*writer).size(), lines * (line.size() + 1));
  EXPECT_EQ(writer->dropped_lines(), 0U);
}

TEST_F(LogBatchTest, HandsOverWhenItIsLargeOrFlushed) {
  auto writer = open(path("log"));
  LogBatch batch(*writer);
  const std::string line(1023, 'x');
  for (std::size_t i = 0; i + 1 < LogBatch::kHandOver / 1024; ++i) batch.append(line);
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(text(path("log")), "");
  batch.append(line);
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_EQ(text(path("log")).size(), LogBatch::kHandOver);
  batch.line(100).append("in place\n");
  batch.line_done();
  batch.flush();
  ASSERT_TRUE(writer->flush(kPatience));
  EXPECT_TRUE(text(path("log")).ends_with("x\nin place\n"));
}

}  // namespace
}  // namespace revproxyd
