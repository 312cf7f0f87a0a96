#pragma once
// One question to the name service, over c-ares. The resolver's thread drives it by poll().

#include <poll.h>

#include <memory>
#include <string>
#include <vector>

#include "revproxyd/net/address.h"
#include "revproxyd/net/resolver.h"

struct ares_channeldata;
struct ares_addrinfo;

namespace revproxyd::net {

/// Of one family.
struct DnsRecords {
  std::vector<Address> addresses;  // without port, by preference
  bool failed = false;             // it is not known whether there are any
};

struct DnsAnswer {
  DnsRecords v4;
  DnsRecords v6;
  Duration ttl{0};           // the shortest of all records; zero when there is none
  const char* problem = "";  // of a family that failed or, when both are empty, why

  bool empty() const noexcept { return v4.addresses.empty() && v6.addresses.empty(); }
  bool complete() const noexcept { return !v4.failed && !v6.failed; }
};

/// Has a channel to itself: it so sees the present resolv.conf and sends from a port of its own,
/// which is harder to forge an answer for.
class DnsQuery {
 public:
  DnsQuery(const std::string& host, const Resolver::Options& options);
  ~DnsQuery();
  DnsQuery(const DnsQuery&) = delete;
  DnsQuery& operator=(const DnsQuery&) = delete;

  bool done() const noexcept { return v4_.done && v6_.done; }
  const DnsAnswer& answer() const noexcept { return answer_; }

  /// Appends the sockets to wait for.
  void watch(std::vector<pollfd>& sockets);
  /// When process() is due at the latest; at most `longest`.
  Duration patience(Duration longest) const;
  /// Handles the sockets it appended last, with the events that poll() found, and what has timed
  /// out.
  void process(const std::vector<pollfd>& sockets);

 private:
  // A family is a question of its own: c-ares calls one of both a success when either has come.
  struct Question {
    DnsQuery* query;
    DnsRecords* records;
    bool done = false;
  };

  void ask(Question& question, const std::string& host, int family);
  static void on_answer(void* question, int status, int timeouts, ares_addrinfo* found);
  void end(Question& question, int status);
  void take(DnsRecords& records, const ares_addrinfo& found);

  ares_channeldata* channel_ = nullptr;
  std::size_t first_ = 0;  // of its sockets in the caller's list
  std::size_t count_ = 0;
  DnsAnswer answer_;
  Question v4_{this, &answer_.v4};
  Question v6_{this, &answer_.v6};
  bool has_ttl_ = false;  // answer_.ttl is that of a record
};

}  // namespace revproxyd::net
