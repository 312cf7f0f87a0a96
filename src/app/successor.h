#pragma once
// The change of the binary, on the side of the process that is to serve next.

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/inherited.h"
#include "app/known_addresses.h"
#include "revproxyd/base/result.h"
#include "revproxyd/net/descriptor.h"
#include "revproxyd/tls/ticket_keys.h"

namespace revproxyd::app {

/// What the two say to each other: S the successor, P the predecessor.
namespace message {
inline constexpr std::string_view kNext = "next 2";            // S: the next part of what you have
inline constexpr std::string_view kSockets = "sockets\n";      // P: a label a line, descriptors
inline constexpr std::string_view kTickets = "tickets\n";      // P: keys as bytes
inline constexpr std::string_view kAddresses = "addresses\n";  // P: what names of servers stand for
inline constexpr std::string_view kDown = "down\n";            // P: servers that checks call down
inline constexpr std::string_view kEnd = "end";                // P: that was all
inline constexpr std::string_view kPrepared = "prepared";      // S: nothing can fail any more
inline constexpr std::string_view kGo = "go";                  // P: accept
// S: all workers accept; its number, and a line for each label that it has no listener for, as far
// as one packet holds them: those beyond count as taken.
inline constexpr std::string_view kReady = "ready ";
inline constexpr std::string_view kDecided = "decided";  // P: stay, whatever becomes of me
inline constexpr std::string_view kStays = "stays";      // S: I do, if my starter cannot say so
inline constexpr std::string_view kYours = "yours";      // P: speak for the service
inline constexpr std::string_view kFailed = "failed\n";  // S: why; its end follows
}  // namespace message

class Successor {
 public:
  /// Null when this process was started for itself. Otherwise it forks, which is why it must be
  /// called before there are threads: the parent stays until the child serves and ends with 0 then,
  /// or with the child's status; the child, which returns from this call, has nobody but init for a
  /// parent from then on, and dies with its parent until then. Without a process or descriptors for
  /// that it says so, to the predecessor too, and ends.
  static std::unique_ptr<Successor> from_environment();

  /// All that the predecessor has. False when it does not give it.
  bool receive();
  InheritedSockets take_sockets() noexcept { return std::move(sockets_); }
  std::vector<tls::TicketKeys::Entry> take_tickets() noexcept { return std::move(tickets_); }
  KnownAddresses take_addresses() noexcept { return std::move(addresses_); }
  std::set<std::string> take_down() noexcept { return std::move(down_); }

  /// What may fail has been done; waits for the word to accept. False: it will not come.
  bool may_accept();
  /// All workers accept. Until the predecessor has decided this process dies with its starter;
  /// after that it waits a moment for the predecessor to step back. `dropped`: labels of sockets
  /// that it does not listen on, so that the predecessor serves who waits there.
  void serves(const std::vector<std::string>& dropped);
  /// Why this process will end.
  void fail(std::string_view reason);

 private:
  Successor(net::Descriptor channel, net::Descriptor starter) noexcept
      : channel_(std::move(channel)), starter_(std::move(starter)) {}

  void await_decision(const std::vector<std::string>& dropped);

  net::Descriptor channel_;
  net::Descriptor starter_;  // the starter waits for a byte here
  InheritedSockets sockets_;
  std::vector<tls::TicketKeys::Entry> tickets_;
  KnownAddresses addresses_;
  std::set<std::string> down_;
};

}  // namespace revproxyd::app
