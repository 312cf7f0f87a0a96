// Put before the C library of a process, moves its wall clock by as many seconds as the file that
// CLOCK_SHIFT names holds, in eight bytes. All other clocks stay.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace {

// Read with every call; the test writes to it.
const volatile std::int64_t* map_shift() noexcept {
  static const std::int64_t none = 0;
  const char* path = std::getenv("CLOCK_SHIFT");
  const int file = path == nullptr ? -1 : ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return &none;
  void* memory = ::mmap(nullptr, sizeof none, PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  return memory == MAP_FAILED ? &none : static_cast<const std::int64_t*>(memory);
}

std::int64_t shift() noexcept {
  static const volatile std::int64_t* const place = map_shift();
  return *place;
}

bool is_wall_clock(clockid_t clock) noexcept {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* out) noexcept {
  const auto failed = static_cast<int>(::syscall(SYS_clock_gettime, clock, out));
  if (failed == 0 && is_wall_clock(clock)) out->tv_sec += shift();
  return failed;
}

time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(timeval* out, void* /*zone*/) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}

}  // extern "C"
