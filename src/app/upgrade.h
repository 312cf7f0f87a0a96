#pragma once
// The change of the binary, on the side of the process that serves: it starts its successor, gives
// it what it needs, and waits until it serves. Decision 0013 has the whole course.

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/known_addresses.h"
#include "app/program.h"
#include "revproxyd/base/task.h"
#include "revproxyd/base/units.h"
#include "revproxyd/net/transport.h"
#include "revproxyd/tls/ticket_keys.h"

namespace revproxyd::app {

/// What goes to the successor. The descriptors stay the giver's, open until the upgrade is over.
struct Estate {
  std::vector<std::pair<std::string, int>> sockets;  // label and descriptor
  std::vector<tls::TicketKeys::Entry> tickets;
  KnownAddresses addresses;
  std::vector<std::string> down;  // servers, as UpstreamWatch::down() has them
};

class Upgrade {
 public:
  struct Outcome {
    pid_t successor = -1;           // that serves; -1: there is none
    std::string problem;            // why
    std::vector<std::string> left;  // labels of sockets that it does not listen on
  };

  explicit Upgrade(Program program) : program_(std::move(program)) {}
  ~Upgrade();
  Upgrade(const Upgrade&) = delete;
  Upgrade& operator=(const Upgrade&) = delete;

  /// One at a time. When it fails, what was started has ended.
  Task<Outcome> run(Estate estate, Duration patience);
  /// A successor has been told to accept, and it is not known yet what became of it: ending it
  /// would end connections.
  bool committed() const noexcept { return committed_; }
  /// To be called now and then: what a failed upgrade has left may end after that.
  void bury() const noexcept;
  /// The successor may speak for the service from now on.
  void release() noexcept;

 private:
  struct Outgoing {
    std::string text;
    std::vector<int> sockets;
  };
  /// What the successor says after it was told that it is decided.
  enum class Word : std::uint8_t { none, stays, gone };
  Result<void> start();
  void pack(Estate estate);
  Task<Outcome> converse();
  Task<std::string> next_message();
  bool answer(const std::string& message);
  bool decide();
  Word hear_successor() const;
  std::string end_starter();
  void cut_starter(int& status) const;
  Outcome failure(std::string problem);

  Program program_;
  std::deque<Outgoing> packets_;
  std::unique_ptr<net::Transport> channel_;
  std::string reason_;  // that the successor gave
  bool timed_out_ = false;
  bool gave_up_ = false;  // we did, not the successor
  bool committed_ = false;
  pid_t starter_ = -1;  // our child, and the successor's parent until it serves
  pid_t successor_ = -1;
  std::vector<std::string> left_;
};

/// A message of ticket keys and back.
std::string encode_tickets(const std::vector<tls::TicketKeys::Entry>& entries);
std::vector<tls::TicketKeys::Entry> decode_tickets(std::string_view bytes);

}  // namespace revproxyd::app
