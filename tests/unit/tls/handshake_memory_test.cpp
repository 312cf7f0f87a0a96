// Handshakes for which OpenSSL finds no memory, at every point of both sides: an error, and nothing
// that is left of it.

#include <cstdlib>
#include <limits>

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;

constexpr std::size_t kPlenty = std::numeric_limits<std::size_t>::max();
// Beyond it something has been broken for good.
constexpr std::size_t kMost = 20000;
// Allocations that succeed; those behind them do not.
std::size_t left = kPlenty;

bool granted() noexcept {
  if (left == 0) return false;
  if (left != kPlenty) --left;
  return true;
}

void* allocate(std::size_t size, const char* /*file*/, int /*line*/) {
  return granted() ? std::malloc(size) : nullptr;
}

void* reallocate(void* block, std::size_t size, const char* /*file*/, int /*line*/) {
  return granted() ? std::realloc(block, size) : nullptr;
}

void release(void* block, const char* /*file*/, int /*line*/) { std::free(block); }

// Before main(), since OpenSSL refuses it once it has allocated.
const bool kInstalled = CRYPTO_set_mem_functions(allocate, reallocate, release) == 1;

class HandshakeMemory : public TlsTest {
 protected:
  /// With each number of allocations up to that with which it succeeds; how many those were.
  std::size_t fail_at_every_point(bool tls12) {
    const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
    const auto upstream = trusting(ca_, tls12);
    for (std::size_t allowed = 0;; ++allowed) {
      left = allowed;
      const Ends ends = handshake(*listener, *upstream, "a.test");
      left = kPlenty;
      if (ends.server && ends.client) return allowed;
      EXPECT_LT(allowed, kMost) << ends.server_error.text() << ", " << ends.client_error.text();
      EXPECT_TRUE(ends.server || ends.server_error.code() != Code::none) << allowed;
      EXPECT_TRUE(ends.client || ends.client_error.code() != Code::none) << allowed;
      EXPECT_NE(ends.client_error.code(), Code::handshake_timeout) << allowed;
      if (HasFailure()) return 0;
    }
  }
  void expect_handshake() {
    const auto listener = server({ca_.issue("b", {.names = {"b.test"}})});
    const Ends ends = handshake(*listener, *trusting(ca_), "b.test");
    EXPECT_TRUE(ends.server && ends.client);
  }
};

TEST_F(HandshakeMemory, WantOfItEndsTheHandshakeAtAnyPoint) {
  ASSERT_TRUE(kInstalled);
  expect_handshake();  // what OpenSSL allocates once
  EXPECT_GT(fail_at_every_point(false), 100U);
  expect_handshake();
}

TEST_F(HandshakeMemory, AndThatOfTls12) {
  ASSERT_TRUE(kInstalled);
  expect_handshake();
  EXPECT_GT(fail_at_every_point(true), 100U);
  expect_handshake();
}

}  // namespace
}  // namespace revproxyd::tls
