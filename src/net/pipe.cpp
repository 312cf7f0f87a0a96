#include "revproxyd/net/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "net/spare_descriptors.h"

namespace revproxyd::net {

struct Pipe::Spares {
  std::array<std::pair<Descriptor, Descriptor>, kSpares> pipes;
  std::size_t count = 0;
  std::size_t in_use = 0;
};

Pipe::Spares& Pipe::spares() noexcept {
  thread_local Spares spares;
  return spares;
}

std::optional<Pipe> Pipe::take() noexcept {
  Spares& all = spares();
  if (all.in_use == kMost) return std::nullopt;
  if (all.count != 0) {
    auto& [entrance, exit] = all.pipes[--all.count];
    ++all.in_use;
    return Pipe(std::move(entrance), std::move(exit));
  }
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return std::nullopt;
  Descriptor entrance(ends[1]);
  Descriptor exit(ends[0]);
  if (is_spare(std::max(ends[0], ends[1]), Taker::server)) return std::nullopt;
  const auto grows_to = [&](std::size_t size) {
    return ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(size)) >= 0;
  };
  const bool large = all.in_use < kLarge && grows_to(kSize);
  if (!large && !grows_to(kSmall)) return std::nullopt;
  ++all.in_use;
  return Pipe(std::move(entrance), std::move(exit));
}

Pipe::Pipe(Pipe&& other) noexcept
    : entrance_(std::move(other.entrance_)),
      exit_(std::move(other.exit_)),
      size_(std::exchange(other.size_, 0)) {}

Pipe::~Pipe() {
  if (!entrance_) return;
  Spares& all = spares();
  --all.in_use;
  if (size_ == 0 && all.count < kSpares)
    all.pipes[all.count++] = {std::move(entrance_), std::move(exit_)};
}

}  // namespace revproxyd::net
