#pragma once
// Host names turned into addresses, off the loops, and again whenever the answer grows old.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "revproxyd/base/result.h"
#include "revproxyd/base/units.h"
#include "revproxyd/net/address.h"

namespace revproxyd::net {

/// Never empty and never changed; by preference (RFC 6724), at most Resolver::kAddresses.
using AddressList = std::shared_ptr<const std::vector<Address>>;

/// Version of the library that asks, for -V.
std::string_view resolver_library_version() noexcept;

/// One a process. A thread of its own, begun with the first name that needs it, asks /etc/hosts and
/// the servers of /etc/resolv.conf in the order of /etc/nsswitch.conf; all three are read anew for
/// each query. Neither the constructor nor subscribe() waits for an answer, and the destructor
/// gives up what is under way.
class Resolver {
 public:
  /// Addresses taken of one name.
  static constexpr std::size_t kAddresses = 64;
  /// Queries under way at once; further names wait their turn.
  static constexpr std::size_t kQueries = 64;

  /// Runs on the resolver's thread (for what needs no query within subscribe()): short, not
  /// blocking, not throwing; post to a loop from it. Called with the first answer, then whenever
  /// the set of addresses changes, and with resolve_failed once when queries begin to fail: an
  /// answer once given stays good meanwhile, and the next one is told again. Where one family is
  /// answered and the other fails, its part of the last answer goes with the new one.
  using Callback = std::function<void(const Result<AddressList>&)>;

  struct Options {
    std::string servers;           // "127.0.0.1:5353,[::1]:53" in place of those of resolv.conf
    Duration query_timeout{2000};  // for the first server asked; doubles with each round
    int rounds = 3;
    // An answer is used for its TTL (the shortest of all its records) within these bounds.
    Duration shortest_ttl{1000};
    Duration longest_ttl{3600000};
    Duration without_ttl{30000};  // /etc/hosts, and a TTL of 0
    // After a failure, doubling, with a fifth more or less at random.
    Duration first_retry{1000};
    Duration longest_retry{30000};
  };

  /// Ends its subscription when it dies: the callback does not run any more after that, and one
  /// that runs just now is waited for. May outlive the Resolver.
  class Subscription {
   public:
    Subscription() noexcept;
    Subscription(Subscription&&) noexcept;
    Subscription& operator=(Subscription&&) noexcept;
    ~Subscription();

   private:
    friend class Resolver;
    struct State;
    explicit Subscription(std::shared_ptr<State> state) noexcept;
    void end() noexcept;
    std::shared_ptr<State> state_;
  };

  Resolver();
  explicit Resolver(Options options);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Any thread. IP literals (with or without brackets) and localhost names (RFC 6761 section 6.3:
  /// 127.0.0.1 and ::1) are answered within the call and for good.
  [[nodiscard]] Subscription subscribe(const std::string& host, std::uint16_t port,
                                       Callback callback);

  /// Any thread. Begins the thread when names wait for it because there was none to be had
  /// (subscribe() has called that a failure).
  void retry() noexcept;

 private:
  class Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace revproxyd::net
