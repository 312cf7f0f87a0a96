#pragma once
// A pipe through which bytes go from socket to socket without coming into the process.

#include <cstddef>
#include <optional>
#include <utility>

#include "revproxyd/net/descriptor.h"

namespace revproxyd::net {

/// Two descriptors and what lies between them. An empty one goes back to the thread's spares when
/// it dies; one that holds bytes is closed, for they are somebody's.
class Pipe {
 public:
  /// What one holds at most. Few are that large, for the kernel counts their room against the user
  /// (pipe-user-pages-soft); those that are made while more are in use, or where it grants no more,
  /// hold kSmall.
  static constexpr std::size_t kSize = 1024 * 1024;
  static constexpr std::size_t kSmall = 128 * 1024;
  static constexpr std::size_t kLarge = 32;
  /// Pipes of a thread that are kept for the next use, and those that may be in use at once: each
  /// takes two descriptors, which connections need more.
  static constexpr std::size_t kSpares = 16;
  static constexpr std::size_t kMost = 256;

  /// Nothing when the thread has kMost, when descriptors are few (as in connect()), or the kernel
  /// gives none of that size: copying costs less than a small one.
  static std::optional<Pipe> take() noexcept;

  Pipe(Pipe&& other) noexcept;
  Pipe& operator=(Pipe&&) = delete;
  ~Pipe();

  /// Bytes in it.
  std::size_t size() const noexcept { return size_; }
  int entrance() const noexcept { return entrance_.get(); }
  int exit() const noexcept { return exit_.get(); }
  void put_in(std::size_t bytes) noexcept { size_ += bytes; }
  void took_out(std::size_t bytes) noexcept { size_ -= bytes; }

 private:
  struct Spares;
  Pipe(Descriptor entrance, Descriptor exit) noexcept
      : entrance_(std::move(entrance)), exit_(std::move(exit)) {}
  static Spares& spares() noexcept;

  Descriptor entrance_;
  Descriptor exit_;
  std::size_t size_ = 0;
};

}  // namespace revproxyd::net
