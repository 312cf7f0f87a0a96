#include "revproxyd/net/discard.h"

#include <cstddef>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::net {
namespace {

constexpr std::size_t kMost = 64 * 1024;

class Discard : public testing::Test {
 protected:
  void discard_most() { runner_.spawn(discard(*transport_, kMost)); }

  test::MemoryPeer peer_;
  test::HandRunner runner_;
  std::unique_ptr<Transport> transport_ = peer_.transport();
};

TEST_F(Discard, EndsWhenSoMuchHasCome) {
  peer_.send(std::string(2 * kMost, 'u'));
  discard_most();
  EXPECT_EQ(peer_.unread(), kMost);
}

// Each costs as much as one of many.
TEST_F(Discard, EndsAfterFarFewerReadsThanBytesWhereEachBringsLittle) {
  peer_.limit_calls(1);
  peer_.send(std::string(kMost, 'u'));
  discard_most();
  EXPECT_EQ(peer_.reads(), kMost / limits::kDiscardLeast);
}

}  // namespace
}  // namespace revproxyd::net
