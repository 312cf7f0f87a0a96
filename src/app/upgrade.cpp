#include "app/upgrade.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "app/logs.h"
#include "app/packed_lines.h"
#include "app/packets.h"
#include "app/successor.h"

namespace revproxyd::app {

namespace {

// Once it is decided, how long the successor has to let its starter end; both have nothing left to
// wait for.
constexpr Duration kStarterEnd{5000};
// How long one that has failed has to end by itself.
constexpr Duration kEnd{500};

std::string status_text(int status) {
  if (WIFSIGNALED(status))
    return "was ended by signal " + std::to_string(WTERMSIG(status)) + " before it was ready";
  return "ended with status " + std::to_string(WEXITSTATUS(status)) + " before it was ready";
}

// Takes leave of all children that have ended; whether any are left.
bool reap() noexcept {
  pid_t ended = 0;
  do {
    ended = ::waitpid(-1, nullptr, WNOHANG);
  } while (ended > 0);
  return ended == 0;
}

// Whether the child ends in that time; `status` is set when it does.
bool ends_within(pid_t child, Duration time, int& status) {
  const TimePoint end = Clock::now() + time;
  pid_t ended = ::waitpid(child, &status, WNOHANG);
  while (ended == 0 && Clock::now() < end) {
    ::usleep(1000);
    ended = ::waitpid(child, &status, WNOHANG);
  }
  return ended != 0;
}

template <typename T>
void append_bytes(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);  // NOLINT: as bytes
}

}  // namespace

std::string encode_tickets(const std::vector<tls::TicketKeys::Entry>& entries) {
  std::string out;
  out.reserve(entries.size() * 128);
  for (const auto& entry : entries) {
    append_bytes(out, entry.key);
    const std::int64_t made = entry.made.time_since_epoch().count();
    append_bytes(out, made);
  }
  return out;
}

std::vector<tls::TicketKeys::Entry> decode_tickets(std::string_view bytes) {
  using Keys = tls::TicketKeys;
  constexpr std::size_t kSize = sizeof(Keys::Key) + sizeof(std::int64_t);
  std::vector<Keys::Entry> entries;
  for (; bytes.size() >= kSize; bytes.remove_prefix(kSize)) {
    Keys::Entry entry{};
    std::int64_t made = 0;
    std::memcpy(&entry.key, bytes.data(), sizeof entry.key);
    std::memcpy(&made, bytes.data() + sizeof entry.key, sizeof made);
    entry.made = TimePoint(TimePoint::duration(made));
    entries.push_back(entry);
  }
  return entries;
}

Upgrade::~Upgrade() {
  if (starter_ > 0) end_starter();
}

Task<Upgrade::Outcome> Upgrade::run(Estate estate, Duration patience) {
  reason_.clear();
  timed_out_ = gave_up_ = false;
  successor_ = -1;
  pack(std::move(estate));
  if (auto started = start(); !started) co_return failure(text_of(started.error()));
  channel_->readiness().read_deadline(patience, Code::deadline_exceeded);
  auto outcome = co_await converse();
  TimerWheel::current().excuse_until(Clock::now());  // it waits for processes where it must
  committed_ = false;
  for (Outgoing& packet : packets_) ::explicit_bzero(packet.text.data(), packet.text.size());
  packets_.clear();
  co_return outcome;
}

Result<void> Upgrade::start() {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return Error(Code::system, "cannot make a pair of sockets", errno);
  const net::Descriptor theirs(pair[1]);
  net::Descriptor ours(pair[0]);
  // Of the description and not of the descriptor, and only of this end.
  const int flags = ::fcntl(ours.get(), F_GETFL);
  ::fcntl(ours.get(), F_SETFL, flags | O_NONBLOCK);
  auto transport = net::make_socket_transport(ours.release());
  if (!transport) return transport.error();
  auto started = start_successor(program_, theirs.get());
  if (!started) return Error(started.error());
  starter_ = *started;
  channel_ = std::move(*transport);
  return {};
}

// One message is under way at a time, sent when it is asked for: nothing here waits for a reader.
void Upgrade::pack(Estate estate) {
  packets_.clear();
  for (const auto& [label, socket] : estate.sockets) {
    const bool full = packets_.empty() || packets_.back().sockets.size() == kPacketSockets ||
                      packets_.back().text.size() + label.size() + 1 > kPacketBytes;
    if (full) packets_.push_back({std::string(message::kSockets), {}});
    packets_.back().text += label + "\n";
    packets_.back().sockets.push_back(socket);
  }
  std::string keys = encode_tickets(estate.tickets);
  packets_.push_back({std::string(message::kTickets) + keys, {}});
  ::explicit_bzero(keys.data(), keys.size());
  for (const std::string& text :
       encode_addresses(estate.addresses, kPacketBytes - message::kAddresses.size()))
    packets_.push_back({std::string(message::kAddresses) + text, {}});
  for (const std::string& text : pack_lines(estate.down, kPacketBytes - message::kDown.size()))
    packets_.push_back({std::string(message::kDown) + text, {}});
  packets_.push_back({std::string(message::kEnd), {}});
}

Task<Upgrade::Outcome> Upgrade::converse() {
  for (;;) {
    auto text = co_await next_message();
    if (text.empty()) co_return failure(end_starter());
    if (!answer(text)) co_return failure(end_starter());
    if (successor_ > 0) {
      if (!decide()) co_return failure(end_starter());
      Outcome outcome;
      outcome.successor = successor_;
      outcome.left = std::move(left_);
      co_return outcome;
    }
  }
}

// Empty when nothing more comes in time.
Task<std::string> Upgrade::next_message() {
  net::Readiness& readiness = channel_->readiness();
  for (;;) {
    auto code = co_await readiness.wait(net::Want::read);
    if (code != Code::none) {
      timed_out_ = code == Code::deadline_exceeded;
      gave_up_ = true;
      co_return std::string();
    }
    auto packet = receive_packet(channel_->fd());
    if (packet) co_return std::move(packet->text);
    if (packet.error().sys() != EAGAIN || readiness.hangup) co_return std::string();
    readiness.readable = false;
  }
}

// False: what was said, or that it cannot be answered, ends the upgrade.
bool Upgrade::answer(const std::string& message) {
  const int socket = channel_->fd();
  if (message == message::kNext && !packets_.empty()) {
    const Outgoing packet = std::move(packets_.front());
    packets_.pop_front();
    return send_packet(socket, packet.text, packet.sockets).has_value();
  }
  if (message == message::kPrepared)
    return committed_ = send_packet(socket, message::kGo).has_value();
  if (message.starts_with(message::kReady)) {
    const char* begin = message.data() + message::kReady.size();
    const char* end = message.data() + message.size();
    const auto number = std::from_chars(begin, end, successor_);
    // Binaries of before end here, and have told nothing of what they left.
    const auto lines = lines_of(std::string_view(number.ptr, end));
    left_.assign(lines.begin(), lines.end());
    return successor_ > 0;
  }
  if (message.starts_with(message::kFailed)) {
    reason_ = message.substr(message::kFailed.size());
    return true;  // its end follows, and says with which status
  }
  reason_ = "it does not speak as a successor does";
  return false;
}

// From the word on the successor outlives us; its starter's end says that it has heard it. Nothing
// else may come in between, a stop neither: so the thread waits, a few milliseconds as a rule.
bool Upgrade::decide() {
  if (!send_packet(channel_->fd(), message::kDecided)) return false;
  int status = 0;
  const bool ended = ends_within(starter_, kStarterEnd, status);
  if (ended) starter_ = -1;
  if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  if (ended) reason_ = "it " + status_text(status);
  if (ended && WIFEXITED(status)) return false;
  // Killed, or not run for long, it cannot speak for its child.
  const Word word = hear_successor();
  if (word == Word::stays && !ended) {
    ::kill(starter_, SIGKILL);
    ::waitpid(starter_, nullptr, 0);
    starter_ = -1;
  }
  // It may be about to hear the word, and is not to act on it.
  if (word == Word::none) ::kill(successor_, SIGKILL);
  return word == Word::stays;
}

Upgrade::Word Upgrade::hear_successor() const {
  pollfd channel{channel_->fd(), POLLIN, 0};
  if (::poll(&channel, 1, static_cast<int>(kEnd.count())) <= 0) return Word::none;
  if ((channel.revents & POLLHUP) != 0) return Word::gone;
  const auto packet = receive_packet(channel_->fd());
  return packet && packet->text == message::kStays ? Word::stays : Word::none;
}

// Ends what was started, if it has not ended by itself; what is to be said of it.
std::string Upgrade::end_starter() {
  channel_.reset();
  if (starter_ <= 0) return "the new binary did not stay: " + reason_;
  int status = 0;
  // Without the channel it will be gone in a moment.
  const bool cut = !ends_within(starter_, gave_up_ ? Duration(0) : kEnd, status);
  if (cut) cut_starter(status);
  starter_ = -1;
  std::string text = "the new binary ";
  text += timed_out_ ? "was not ready in time (shutdown.upgrade)"
          : cut      ? "was given up"
                     : status_text(status);
  if (!reason_.empty()) text += ": " + reason_;
  return text;
}

// The successor dies with its starter, a moment later, and with it its hold on our sockets; whoever
// closes them next resets nobody only if he is the last. So it becomes our child for its end, and
// so does whatever else the starter has left, which may live on.
void Upgrade::cut_starter(int& status) const {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::kill(starter_, SIGKILL);
  ::waitpid(starter_, &status, 0);
  const TimePoint end = Clock::now() + kEnd;
  while (reap() && Clock::now() < end) ::usleep(1000);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

void Upgrade::bury() const noexcept {
  if (starter_ <= 0) reap();
}

void Upgrade::release() noexcept {
  if (channel_ == nullptr) return;
  ignore(send_packet(channel_->fd(), message::kYours), "it goes on without the word, too");
  channel_.reset();
}

Upgrade::Outcome Upgrade::failure(std::string problem) {
  channel_.reset();
  Outcome outcome;
  outcome.problem = std::move(problem);
  return outcome;
}

}  // namespace revproxyd::app
