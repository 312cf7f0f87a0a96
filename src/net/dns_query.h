#pragma once
// One question to the name service, over c-ares. The resolver's thread drives it by poll().

#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "revproxyd/net/address.h"
#include "revproxyd/net/resolver.h"

struct ares_channeldata;
struct ares_addrinfo;

namespace revproxyd::net {

struct DnsAnswer {
  std::vector<Address> addresses;  // without port, by preference
  Duration ttl{0};                 // the shortest of all records; zero when there is none
  // AF_INET or AF_INET6, where addresses of the other are there and it is not known whether there
  // are any of this one; else AF_UNSPEC.
  int unsure = AF_UNSPEC;
  const char* problem = "";  // why there are none, or why it is not sure
};

bool has_family(const std::vector<Address>& addresses, int family) noexcept;

/// Families.
struct DnsFamilies {
  bool v4 = false;
  bool v6 = false;
};

/// Has a channel to itself: it so sees the present resolv.conf and sends from a port of its own,
/// which is harder to forge an answer for.
class DnsQuery {
 public:
  /// `expected`: families whose absence from the answer is to be made sure of.
  DnsQuery(const std::string& host, const Resolver::Options& options, DnsFamilies expected);
  ~DnsQuery();
  DnsQuery(const DnsQuery&) = delete;
  DnsQuery& operator=(const DnsQuery&) = delete;

  bool done() const noexcept { return done_; }
  const DnsAnswer& answer() const noexcept { return answer_; }

  /// Appends the sockets to wait for.
  void watch(std::vector<pollfd>& sockets);
  /// When process() is due at the latest; at most `longest`.
  Duration patience(Duration longest) const;
  /// Handles the sockets it appended last, with the events that poll() found, and what has timed
  /// out.
  void process(const std::vector<pollfd>& sockets);

 private:
  static void on_answer(void* self, int status, int timeouts, ares_addrinfo* found);
  static void on_one_family(void* self, int status, int timeouts, ares_addrinfo* found);
  void take(const ares_addrinfo& found);
  int missing() const noexcept;

  ares_channeldata* channel_ = nullptr;
  std::size_t first_ = 0;  // of its sockets in the caller's list
  std::size_t count_ = 0;
  const DnsFamilies expected_;
  DnsAnswer answer_;
  int asked_ = AF_UNSPEC;  // the family that was asked for alone
  bool done_ = false;
};

}  // namespace revproxyd::net
