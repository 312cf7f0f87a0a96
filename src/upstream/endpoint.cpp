#include "revproxyd/upstream/endpoint.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <thread>
#include <utility>

#include "revproxyd/upstream/balancer.h"

namespace revproxyd::upstream {

namespace {

constexpr std::uint64_t kDownBit = 1;
constexpr std::uint64_t kLongOver = 1;  // the end of a take-out, whatever the time is now
constexpr int kSpinsBeforeYield = 64;

// The monotonic clock counts from boot, hence never below zero.
std::uint64_t milliseconds(TimePoint now) noexcept {
  const auto since = std::chrono::floor<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return static_cast<std::uint64_t>(std::max<decltype(since)>(since, 0));
}

}  // namespace

Endpoint::Endpoint(std::string upstream, const ServerSettings& server)
    : upstream_(std::move(upstream)),
      url_(server.url),
      url_hash_(hash_bytes(server.url.text)),
      weight_(std::max(server.weight, 1U)),
      max_connections_(server.max_connections),
      backup_(server.backup) {}

void Endpoint::update(const ServerSettings& server) noexcept {
  assert(server.url.text == url_.text);
  weight_.store(std::max(server.weight, 1U), std::memory_order_relaxed);
  max_connections_.store(server.max_connections, std::memory_order_relaxed);
  backup_.store(server.backup, std::memory_order_relaxed);
}

void Endpoint::mark_down() noexcept { health_.fetch_or(kDownBit, std::memory_order_relaxed); }

void Endpoint::mark_up() noexcept { health_.store(0, std::memory_order_relaxed); }

bool Endpoint::take_out(TimePoint now, std::uint64_t trial) noexcept {
  const std::uint64_t until = milliseconds(now + kTakeOut);
  std::uint64_t word = health_.load(std::memory_order_relaxed);
  while (((word >> 1) < until || (trial != 0 && (word >> 1) == trial)) &&
         !health_.compare_exchange_weak(word, (until << 1) | (word & kDownBit),
                                        std::memory_order_relaxed)) {
  }
  return judge(word, now) == Availability::usable;
}

std::uint64_t Endpoint::begin_trial(TimePoint now, Duration most) noexcept {
  const std::uint64_t until = milliseconds(now + most);
  std::uint64_t word = health_.load(std::memory_order_relaxed);
  do {
    if ((word >> 1) == 0 || (word >> 1) > milliseconds(now)) return 0;
  } while (!health_.compare_exchange_weak(word, (until << 1) | (word & kDownBit),
                                          std::memory_order_relaxed));
  return until;
}

bool Endpoint::end_trial(std::uint64_t trial) noexcept {
  std::uint64_t word = health_.load(std::memory_order_relaxed);
  do {
    if (trial == 0 || (word >> 1) != trial) return false;
  } while (!health_.compare_exchange_weak(word, (kLongOver << 1) | (word & kDownBit),
                                          std::memory_order_relaxed));
  return true;
}

bool Endpoint::end_take_out() noexcept {
  if ((health_.load(std::memory_order_relaxed) >> 1) == 0) return false;
  return (health_.fetch_and(kDownBit, std::memory_order_relaxed) >> 1) != 0;
}

Availability Endpoint::judge(std::uint64_t health, TimePoint now) noexcept {
  if ((health & kDownBit) != 0) return Availability::down;
  return milliseconds(now) < (health >> 1) ? Availability::taken_out : Availability::usable;
}

bool Endpoint::try_acquire_connection() noexcept {
  std::uint32_t open = open_connections_.load(std::memory_order_relaxed);
  do {
    const std::uint32_t limit = max_connections();
    if (limit != 0 && open >= limit) return false;
  } while (!open_connections_.compare_exchange_weak(open, open + 1, std::memory_order_relaxed));
  return true;
}

void Endpoint::release_connection() noexcept {
  [[maybe_unused]] const std::uint32_t before =
      open_connections_.fetch_sub(1, std::memory_order_relaxed);
  assert(before > 0);
}

void Endpoint::end_arrival() noexcept {
  [[maybe_unused]] const std::uint32_t before = arriving_.fetch_sub(1, std::memory_order_relaxed);
  assert(before > 0);
}

void Endpoint::begin_request() noexcept {
  active_requests_.fetch_add(1, std::memory_order_relaxed);
  requests_.fetch_add(1, std::memory_order_relaxed);
}

void Endpoint::end_request() noexcept {
  [[maybe_unused]] const std::uint32_t before =
      active_requests_.fetch_sub(1, std::memory_order_relaxed);
  assert(before > 0);
}

void Endpoint::count_connect_failure() noexcept {
  connect_failures_.fetch_add(1, std::memory_order_relaxed);
  count_failure();
}

void Endpoint::set_addresses(std::shared_ptr<const AddressList> list) noexcept {
  assert(list && !list->empty());
  addresses_.store(std::move(list));
  addresses_version_.fetch_add(1, std::memory_order_release);
  resolve_failed_.store(false, std::memory_order_relaxed);
}

std::shared_ptr<const AddressList> Endpoint::AddressCell::load() const noexcept {
  lock();
  auto copy = list_;
  unlock();
  return copy;
}

void Endpoint::AddressCell::store(std::shared_ptr<const AddressList> list) noexcept {
  lock();
  list_.swap(list);
  unlock();
  // The old list goes with `list`, outside the lock.
}

void Endpoint::AddressCell::lock() const noexcept {
  for (int spins = 0; held_.test_and_set(std::memory_order_acquire); ++spins) {
    // The holder may have lost its core in the middle of the copy.
    if (spins >= kSpinsBeforeYield) std::this_thread::yield();
  }
}

}  // namespace revproxyd::upstream
