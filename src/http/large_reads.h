#pragma once
// Which bodies are read in large pieces. A peer that takes its answer slowly keeps a piece of it
// here for as long as it likes, so only some of a thread's bodies have large ones at a time.

#include <cstddef>

#include "revproxyd/base/limits.h"

namespace revproxyd::http {

/// A body's leave to read more than limits::kGather at once, kept until it ends. Belongs to the
/// thread that asks.
class LargeReads {
 public:
  LargeReads() noexcept = default;
  ~LargeReads() {
    if (allowed_) --count();
  }
  LargeReads(const LargeReads&) = delete;
  LargeReads& operator=(const LargeReads&) = delete;

  /// False while limits::kLargeReads others of the thread have it.
  bool allowed() noexcept {
    if (!allowed_ && count() < limits::kLargeReads) {
      allowed_ = true;
      ++count();
    }
    return allowed_;
  }

 private:
  static std::size_t& count() noexcept {
    static constinit thread_local std::size_t bodies = 0;
    return bodies;
  }
  bool allowed_ = false;
};

}  // namespace revproxyd::http
