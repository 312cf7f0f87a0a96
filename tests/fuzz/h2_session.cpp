// Bytes as the peer of a whole HTTP/2 connection, as a client or as a server: whatever comes, every
// exchange ends, bodies have the length that was announced, and output stays within bounds.
//
// The input begins with three bytes of habits: who this side is and what it does, how the rest is
// cut into pieces, and what the transport does.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "http/h2/client_connection.h"
#include "http/h2/client_stream.h"
#include "http/h2/server_connection.h"
#include "http/h2/server_stream.h"
#include "revproxyd/base/deadline.h"
#include "revproxyd/base/limits.h"
#include "revproxyd/base/ready_queue.h"
#include "revproxyd/base/task_group.h"
#include "tests/fuzz/codec_check.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::fuzz {
namespace {

using std::chrono::seconds;

constexpr std::size_t kHabits = 3;
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kEmptySettings("\0\0\0\4\0\0\0\0\0", 9);
constexpr std::size_t kAnswer = 20'000;  // bytes; more than a frame
constexpr int kPatience = 200;           // seconds, longer than all limits in force

struct Habits {
  explicit Habits(std::string_view data) noexcept
      : what(static_cast<unsigned char>(data[0])),
        cut(static_cast<unsigned char>(data[1])),
        how(static_cast<unsigned char>(data[2])) {}

  bool client() const noexcept { return (what & 1) != 0; }
  bool greeted() const noexcept { return (what & 2) != 0; }  // preface and SETTINGS come by itself
  bool reads() const noexcept { return (what & 4) == 0; }
  bool answers_first() const noexcept { return (what & 8) != 0; }
  bool large() const noexcept { return (what & 16) != 0; }
  bool trailers() const noexcept { return (what & 32) != 0; }
  bool announces() const noexcept { return (what & 64) == 0; }
  bool drains() const noexcept { return (what & 128) != 0; }

  /// Size of piece `number`; sizes vary, or input comes at once.
  std::size_t piece(std::size_t number) const noexcept {
    return cut == 0 ? std::string_view::npos : 1 + cut * (number % 5) % 255;
  }

  bool blocked() const noexcept { return (how & 1) != 0; }  // the transport takes nothing at first
  bool slow() const noexcept { return (how & 2) != 0; }     // and little each time
  bool cut_off() const noexcept { return (how & 4) != 0; }  // it does not end in order
  bool waits() const noexcept { return (how & 8) != 0; }    // time passes between pieces
  bool resets() const noexcept { return (how & 16) != 0; }
  bool silent() const noexcept { return (how & 32) != 0; }  // input ends with nothing

  unsigned what;
  unsigned cut;
  unsigned how;
};

/// What happened, to be held against the rules at the end.
struct Tally {
  std::size_t streams = 0;
  std::size_t ended = 0;
  std::size_t body_bytes = 0;
  bool over = false;  // the connection
};

void settle() {
  for (int rounds = 0; ReadyQueue::current().run(64); ++rounds) check(rounds < 100'000);
}

void pass(Duration time) {
  TimerWheel& wheel = TimerWheel::current();
  wheel.advance(wheel.now() + time);
  settle();
}

/// Reads a body to its end; false when it has none.
Task<bool> read_all(http::Body& body, http::BodyLength length, Tally& tally) {
  std::uint64_t got = 0;
  for (;;) {
    auto piece = co_await body.read();
    if (!piece) {
      check(piece.error().code() != Code::none && piece.error().code() != Code::internal);
      co_return false;
    }
    got += piece->bytes.size();
    tally.body_bytes += piece->bytes.size();
    if (piece->last) break;
  }
  check(length.framing != http::Framing::length || got == length.bytes);
  check(length.framing != http::Framing::none || got == 0);
  co_return true;
}

// Sends a message's content in a few pieces. Errors end it.
template <typename Stream>
Task<void> send_content(Stream& stream, std::size_t size, bool trailers, Arena& arena) {
  const std::string text(size, 'x');
  const std::size_t half = size / 2;
  auto first = co_await stream.send_body(http::Piece(Bytes(text).substr(0, half), false));
  if (!first) co_return;
  auto flushed = co_await stream.flush();
  if (!flushed) co_return;
  auto second = co_await stream.send_body(http::Piece(Bytes(text).substr(half), !trailers));
  if (!second || !trailers) co_return;
  http::Fields fields(arena);
  fields.add("X-End", "1");
  auto finished = co_await stream.finish(fields);
  ignore(finished, "the peer may have gone");
}

Task<void> answer(http::ServerStream& stream, Habits habits, Tally& tally) {
  auto request = stream.take_request();
  const bool refused = stream.refusal().has_value();
  check(!refused || stream.refusal()->side() == Side::downstream);
  check(refused || (!request.head.method_text.empty() && !request.head.raw_target.empty()));
  const bool reads = request.body != nullptr && habits.reads() && request.head.upgrade.empty();
  if (reads && !habits.answers_first()) {
    auto whole = co_await read_all(*request.body, request.head.length, tally);
    if (!whole && habits.resets()) stream.reset(Code::malformed_request);
  }
  const std::size_t size = habits.large() ? kAnswer : 2;
  http::ResponseHead head(stream.arena());
  head.status = refused ? 400 : 200;
  head.length = {http::Framing::chunked, 0};
  if (!request.head.upgrade.empty() && !refused) {
    head.status = 101;
    head.length = {http::Framing::tunnel, 0};
  } else if (habits.announces()) {
    head.length = {http::Framing::length, size};
  }
  stream.stage_head(head);
  check(stream.head_sent());
  auto sending = send_content(stream, size, habits.trailers(), stream.arena());
  co_await std::move(sending);
  if (reads && habits.answers_first()) co_await read_all(*request.body, request.head.length, tally);
}

Task<void> exchange(std::unique_ptr<http::ServerStream> stream, Habits habits, Tally& tally) {
  ++tally.streams;
  auto answering = answer(*stream, habits, tally);
  auto scoped = std::move(answering).under(stream->scope());
  co_await std::move(scoped);
  check(stream->bytes().body_out <= kAnswer);
  stream.reset();
  ++tally.ended;
}

Task<void> serve(http::ServerConnection& connection, Habits habits, Tally& tally,
                 CancelScope& scope) {
  TaskGroup exchanges(&scope);
  for (;;) {
    auto next = co_await connection.next_stream();
    if (!next.has_stream()) break;
    exchanges.spawn(exchange(next.take(), habits, tally));
    if (habits.drains() && tally.streams == 2) connection.drain();
  }
  co_await exchanges.join();
  co_await connection.finish();
  tally.over = true;
}

/// Input in pieces, then the end.
void feed(test::MemoryPeer& peer, Habits habits, std::string_view rest) {
  if (habits.slow()) peer.limit_calls(100);
  if (habits.blocked()) peer.take_only(0);
  for (std::size_t number = 0; !rest.empty(); ++number) {
    const std::string_view piece = rest.substr(0, habits.piece(number));
    rest.remove_prefix(piece.size());
    peer.send(piece);
    settle();
    if (habits.waits()) pass(seconds(1));
    if (habits.blocked() && number == 3) peer.take_all();
  }
  if (habits.silent()) return;
  if (habits.cut_off()) {
    peer.reset();
  } else {
    peer.end();
  }
  settle();
}

/// Until nothing is under way, which limits see to.
void wait(const TaskGroup& tasks, const bool& over) {
  for (int waited = 0; (!over || tasks.size() != 0) && waited < kPatience; ++waited)
    pass(seconds(1));
  check(over && tasks.size() == 0);
}

void run_server(Habits habits, std::string_view rest) {
  test::MemoryPeer peer;
  peer.discard_received();
  Tally tally;
  CancelScope scope;
  http::ServerConnectionSettings settings;
  settings.streams = 8;
  settings.resets = {10, seconds(10)};
  settings.header_bytes = 1024;
  settings.header_count = 8;
  settings.request_line = 256;
  {
    TaskGroup tasks;
    http::h2::ServerConnection connection(peer.transport(), settings, scope, Bytes());
    tasks.spawn(serve(connection, habits, tally, scope));
    if (habits.greeted()) peer.send(std::string(kPreface).append(kEmptySettings));
    feed(peer, habits, rest);
    // A client that neither asks nor leaves is told to go; what waits for it is given up.
    if (habits.silent()) {
      for (int waited = 0; !tally.over && waited < kPatience; ++waited) pass(seconds(1));
      scope.cancel(Code::shutdown);
      if (!tally.over) peer.end();
    }
    wait(tasks, tally.over);
  }
  check(tally.streams == tally.ended);
  check(tally.body_bytes <= rest.size());
  check(peer.received_bytes() <= 4096 + 64 * rest.size() + tally.streams * (kAnswer + 2048));
}

class Keeper final : public http::ClientConnection::Owner {
 public:
  std::size_t closed = 0;

 private:
  void on_stream_closed(http::ClientConnection&) noexcept override { ++closed; }
  void on_idle_input(http::ClientConnection&) noexcept override {}
};

constexpr Code kUpstreamFaults[] = {Code::reset,          Code::malformed_response,
                                    Code::end_of_stream,  Code::response_header_too_large,
                                    Code::idle_timeout,   Code::first_byte_timeout,
                                    Code::protocol_error, Code::cancelled,
                                    Code::body_timeout,   Code::header_flood,
                                    Code::ping_flood};

Task<void> receive(http::ClientStream& stream, http::Method method, Habits habits, Tally& tally) {
  Arena arena;
  std::uint32_t interim = 0;
  for (;;) {
    auto head = co_await stream.read_head(arena);
    if (!head) {
      check(std::ranges::find(kUpstreamFaults, head.error().code()) != std::end(kUpstreamFaults));
      co_return;
    }
    check(stream.response_started());
    check(head->status >= 100 && head->status < 600 && head->status != 101);
    if (head->status < 200) {
      check(++interim <= limits::kInterimResponses);
      continue;
    }
    const bool empty = method == http::Method::head || head->status == 204 || head->status == 304;
    check(!empty || head->length.framing == http::Framing::none);
    if (habits.reads()) co_await read_all(stream.body(), head->length, tally);
    co_return;
  }
}

Task<void> ask(http::h2::ClientConnection& connection, std::size_t number, Habits habits,
               Tally& tally) {
  constexpr std::pair<http::Method, std::string_view> kMethods[] = {
      {http::Method::get, "GET"}, {http::Method::post, "POST"}, {http::Method::head, "HEAD"}};
  const auto& [method, text] = kMethods[number % std::size(kMethods)];
  Arena arena;
  http::RequestHead head(arena);
  head.method = method;
  head.method_text = text;
  const std::size_t size = habits.large() ? 100'000 : 2;
  if (method == http::Method::post)
    head.length = habits.announces() ? http::BodyLength{http::Framing::length, size}
                                     : http::BodyLength{http::Framing::chunked, 0};
  auto stream = connection.open_stream();
  ++tally.streams;
  stream->set_body_rules({.stall = seconds(30)});
  stream->stage_head(head, "/", "a.example");
  if (method == http::Method::post) {
    auto sending = send_content(*stream, size, habits.trailers(), arena);
    co_await std::move(sending);
  } else {
    auto flushed = co_await stream->flush();
    ignore(flushed, "read_head() meets the same failure");
  }
  stream->await_response(seconds(30));
  auto receiving = receive(*stream, method, habits, tally);
  co_await std::move(receiving);
  if (habits.resets()) stream->reset(Code::cancelled);
  stream.reset();
  ++tally.ended;
}

void run_client(Habits habits, std::string_view rest) {
  test::MemoryPeer peer;
  peer.discard_received();
  Tally tally;
  Keeper keeper;
  {
    TaskGroup tasks;
    http::h2::ClientConnection connection(peer.transport(), {}, keeper);
    if (habits.greeted()) peer.send(kEmptySettings);
    settle();
    for (std::size_t number = 0; number < 4 && connection.capacity() != 0; ++number)
      tasks.spawn(ask(connection, number, habits, tally));
    feed(peer, habits, rest);
    if (connection.capacity() != 0) tasks.spawn(ask(connection, 0, habits, tally));
    tally.over = true;
    wait(tasks, tally.over);
    check(connection.active() == 0);
  }
  check(tally.streams == tally.ended && tally.streams == keeper.closed);
  check(tally.body_bytes <= rest.size());
  check(peer.received_bytes() <= 4096 + 64 * rest.size() + tally.streams * (100'000 + 4096));
}

void run(std::string_view data) {
  if (data.size() < kHabits) return;
  const Habits habits(data);
  // Its own memory, so that a read over the end is seen.
  const auto rest = exact(data.substr(kHabits));
  if (habits.client()) {
    run_client(habits, view(rest));
  } else {
    run_server(habits, view(rest));
  }
  settle();
  check(ReadyQueue::current().empty());
  TimerWheel::current() = TimerWheel();
}

}  // namespace
}  // namespace revproxyd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  revproxyd::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
