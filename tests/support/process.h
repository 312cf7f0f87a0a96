#pragma once
// What is done to a process from the outside, and seen of it there.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/support/waiting.h"

namespace revproxyd::testing {

/// Holds one thread of a process still, found by its name.
class HeldThread {
 public:
  HeldThread(pid_t process, const std::string& name);
  HeldThread(const HeldThread&) = delete;
  HeldThread& operator=(const HeldThread&) = delete;
  ~HeldThread() { release(); }

  /// False where that is not allowed.
  bool held() const noexcept { return held_; }
  void release() noexcept;
  /// Waits for the thread's end, held as it is; its process has not ended before that was seen.
  bool ends(Milliseconds patience);

 private:
  pid_t thread_ = -1;
  bool held_ = false;
};

/// How many descriptors a process may have; as before when this object goes.
class DescriptorLimit {
 public:
  DescriptorLimit(pid_t process, std::size_t limit);
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;
  ~DescriptorLimit();

 private:
  pid_t process_;
  std::uint64_t before_ = 0;
};

/// Lets this process, and those that it starts, have as many descriptors as it is allowed to; how
/// many that are.
std::size_t raise_descriptor_limit();

/// A child of the process's first thread; -1, which kill() takes for everybody, while there is
/// none.
pid_t child_of(pid_t process);

/// Sends the signal and waits until the process has taken it, so that the next of its kind is not
/// the same to the kernel.
void deliver_signal(pid_t process, int number);

/// What the process has used of the processors, system calls included.
Milliseconds processor_time(pid_t process);

}  // namespace revproxyd::testing
