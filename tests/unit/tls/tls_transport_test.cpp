#include "tls/tls_transport.h"

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/limits.h"
#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;
using net::IoStatus;

class TlsStream : public TlsTest {
 protected:
  Ends open(Sockets sockets = connected(), bool tls12 = false) {
    listener_ = server({ca_.issue("a", {.names = {"a.test"}})});
    upstream_ = trusting(ca_, tls12);
    Ends ends = handshake(*listener_, *upstream_, "a.test", sockets);
    EXPECT_TRUE(ends.server && ends.client);
    return ends;
  }

  std::shared_ptr<const ServerContext> listener_;
  std::shared_ptr<const ClientContext> upstream_;
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 12345;
  for (char& c : text) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

Task<void> write_text(net::Transport& to, const std::string& text, std::size_t piece_size,
                      bool& good) {
  std::vector<iovec> pieces;
  for (std::size_t at = 0; at < text.size(); at += piece_size) {
    pieces.push_back(net::piece_of(Bytes(text).substr(at, piece_size)));
  }
  auto sent = co_await net::write_all(to, std::span<iovec>(pieces), 10s);
  good = sent.has_value();
}

Task<void> read_text(net::Transport& from, std::string& text, std::size_t size, std::size_t step) {
  std::vector<char> buffer(step);
  while (text.size() < size) {
    auto got = co_await net::read_some(from, MutableBytes(buffer));
    if (!got || *got == 0) break;
    text.append(buffer.data(), *got);
  }
}

TEST_F(TlsStream, LargeTransfersBothWaysAtOnceThroughTinyBuffers) {
  for (const bool tls12 : {false, true}) {
    const Ends ends = open(connected(4096), tls12);
    const std::string up = pattern(8 * 1024 * 1024);
    const std::string down = std::string("other ") + up;
    std::string at_server;
    std::string at_client;
    bool sent_up = false;
    bool sent_down = false;
    TaskGroup group;
    group.spawn(write_text(*ends.client, up, 300000, sent_up));
    group.spawn(write_text(*ends.server, down, 5000, sent_down));
    group.spawn(read_text(*ends.server, at_server, up.size(), 65536));
    group.spawn(read_text(*ends.client, at_client, down.size(), 1000));
    run_until([&] { return group.size() == 0; });
    EXPECT_TRUE(sent_up && sent_down);
    EXPECT_TRUE(at_server == up);
    EXPECT_TRUE(at_client == down);
  }
}

TEST_F(TlsStream, ManyRecordsInOneEdgeAreAllReadThoughNoOtherEventComes) {
  const Ends ends = open();
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    const std::string text = "record " + std::to_string(i) + ";";
    const iovec piece = net::piece_of(text);
    ASSERT_EQ(ends.client->try_write(std::span<const iovec>(&piece, 1)).status, IoStatus::done);
    expected += text;
  }
  std::string received;
  TaskGroup group;
  group.spawn(read_text(*ends.server, received, expected.size(), 10));
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(received, expected);
  EXPECT_FALSE(ends.server->pending());
}

TEST_F(TlsStream, RecordsThatFillTheReadAheadExactlyDoNotStall) {
  const Ends ends = open();
  // More than one receive call can take, so that the first leaves records in the socket.
  const std::string text = pattern(100 * 1024);
  bool good = false;
  std::string received;
  TaskGroup group;
  group.spawn(write_text(*ends.client, text, text.size(), good));
  loop_.run_for(10ms);
  group.spawn(read_text(*ends.server, received, text.size(), 4096));
  run_until([&] { return group.size() == 0; });
  EXPECT_TRUE(received == text);
}

TEST_F(TlsStream, PendingTellsOfBytesThatNoEventWillAnnounce) {
  const Ends ends = open();
  EXPECT_EQ(pass(*ends.server, *ends.client, "tickets are read"), "tickets are read");
  const iovec piece = net::piece_of("0123456789");
  ASSERT_EQ(ends.server->try_write(std::span<const iovec>(&piece, 1)).bytes, 10U);
  std::array<char, 4> some;
  EXPECT_EQ(*read_once(*ends.client, MutableBytes(some)), 4U);
  EXPECT_TRUE(ends.client->pending());
  std::array<char, 100> rest;
  EXPECT_EQ(ends.client->try_read(MutableBytes(rest)).bytes, 6U);
  EXPECT_EQ(ends.client->try_read(MutableBytes(rest)).status, IoStatus::want_read);
  EXPECT_FALSE(ends.client->pending());
}

TEST_F(TlsStream, SmallPiecesShareOneRecord) {
  const Ends ends = open();
  const std::array<iovec, 4> pieces{net::piece_of("HTTP/1.1 200 OK\r\n"), net::piece_of(""),
                                    net::piece_of("\r\n"), net::piece_of("body")};
  ASSERT_EQ(ends.server->try_write(std::span<const iovec>(pieces)).bytes, 23U);
  std::array<char, 1> one;
  ASSERT_EQ(*read_once(*ends.client, MutableBytes(one)), 1U);
  auto& transport = dynamic_cast<TlsTransport&>(*ends.client);
  EXPECT_EQ(SSL_pending(transport.ssl()), 22);
}

TEST_F(TlsStream, CloseNotifyIsTheEndAndTheOtherWayStaysOpen) {
  const Ends ends = open();
  std::array<char, 16> buffer;
  ASSERT_EQ(ends.client->try_shutdown().status, IoStatus::done);
  EXPECT_EQ(*read_once(*ends.server, MutableBytes(buffer)), 0U);
  EXPECT_EQ(pass(*ends.server, *ends.client, "late answer"), "late answer");
  ASSERT_EQ(ends.server->try_shutdown().status, IoStatus::done);
  EXPECT_EQ(*read_once(*ends.client, MutableBytes(buffer)), 0U);
  EXPECT_EQ(*read_once(*ends.client, MutableBytes(buffer)), 0U) << "and it stays the end";
}

TEST_F(TlsStream, BytesBeforeCloseNotifyAreDeliveredFirst) {
  const Ends ends = open();
  const iovec piece = net::piece_of("last words");
  ASSERT_EQ(ends.client->try_write(std::span<const iovec>(&piece, 1)).status, IoStatus::done);
  ASSERT_EQ(ends.client->try_shutdown().status, IoStatus::done);
  std::array<char, 100> buffer;
  EXPECT_EQ(*read_once(*ends.server, MutableBytes(buffer)), 10U);
  EXPECT_TRUE(ends.server->pending()) << "the end was read too, and no event will announce it";
  EXPECT_EQ(*read_once(*ends.server, MutableBytes(buffer)), 0U);
}

TEST_F(TlsStream, EndWithoutCloseNotifyIsAReset) {
  Ends ends = open();
  const iovec piece = net::piece_of("cut");
  ASSERT_EQ(ends.client->try_write(std::span<const iovec>(&piece, 1)).status, IoStatus::done);
  ::shutdown(ends.client->fd(), SHUT_WR);
  std::array<char, 100> buffer;
  EXPECT_EQ(*read_once(*ends.server, MutableBytes(buffer)), 3U);
  const auto end = read_once(*ends.server, MutableBytes(buffer));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), Code::reset);
}

TEST_F(TlsStream, ForgedRecordBreaksTheConnectionForGood) {
  const Ends ends = open();
  const std::string forged = std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x');
  ASSERT_EQ(::send(ends.client->fd(), forged.data(), forged.size(), 0),
            static_cast<ssize_t>(forged.size()));
  std::array<char, 100> buffer;
  const auto read = read_once(*ends.server, MutableBytes(buffer));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Code::tls_failed);
  const iovec piece = net::piece_of("more");
  EXPECT_EQ(ends.server->try_write(std::span<const iovec>(&piece, 1)).status, IoStatus::failed);
}

// Fills the way to the peer, so that the last record is sealed but not sent.
std::size_t fill(net::Transport& transport, const std::string& text) {
  std::size_t sent = 0;
  for (;;) {
    const std::array<iovec, 2> pieces{net::piece_of(Bytes(text).substr(sent, 1000)),
                                      net::piece_of(Bytes(text).substr(sent + 1000, 1000))};
    const auto result = transport.try_write(std::span<const iovec>(pieces));
    if (result.status != IoStatus::done) return sent;
    sent += result.bytes;
  }
}

TEST_F(TlsStream, BlockedWriteGoesOnWhenRepeatedInOtherPiecesWithMore) {
  const Ends ends = open(connected(4096));
  const std::string text = pattern(16 * 1024 * 1024);
  const std::size_t sent = fill(*ends.server, text);
  ASSERT_LT(sent, text.size() - 100000);
  bool good = false;
  std::string received;
  TaskGroup group;
  const std::string rest = text.substr(sent, 50000);
  group.spawn(write_text(*ends.server, rest, 7, good));
  group.spawn(read_text(*ends.client, received, sent + rest.size(), 4096));
  run_until([&] { return group.size() == 0; });
  EXPECT_TRUE(good);
  EXPECT_TRUE(received == text.substr(0, sent + rest.size()));
}

TEST_F(TlsStream, BlockedWriteRepeatedWithLessIsRefused) {
  const Ends ends = open(connected(4096));
  const std::string text = pattern(16 * 1024 * 1024);
  const std::size_t sent = fill(*ends.server, text);
  const iovec less = net::piece_of(Bytes(text).substr(sent, 10));
  const auto result = ends.server->try_write(std::span<const iovec>(&less, 1));
  EXPECT_EQ(result.status, IoStatus::failed);
  EXPECT_EQ(result.error.code(), Code::internal);
}

TEST_F(TlsStream, ShutdownAfterAGivenUpWriteDoesNotLookOrderly) {
  const Ends ends = open(connected(4096));
  const std::string text = pattern(16 * 1024 * 1024);
  const std::size_t sent = fill(*ends.server, text);
  ASSERT_EQ(ends.server->try_shutdown().status, IoStatus::done);
  std::string received;
  TaskGroup group;
  group.spawn(read_text(*ends.client, received, sent + 1, 4096));
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(received.size(), sent);
  std::array<char, 10> buffer;
  const auto end = read_once(*ends.client, MutableBytes(buffer));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), Code::reset);
}

// Passes everything on.
class Wrapped : public net::Transport {
 public:
  explicit Wrapped(std::unique_ptr<net::Transport> inner) : inner_(std::move(inner)) {}
  net::IoResult try_read(MutableBytes into) noexcept override { return inner_->try_read(into); }
  net::IoResult try_write(std::span<const iovec> pieces) noexcept override {
    return inner_->try_write(pieces);
  }
  net::IoResult try_shutdown() noexcept override { return inner_->try_shutdown(); }
  void abort_on_close() noexcept override { inner_->abort_on_close(); }
  bool pending() const noexcept override { return false; }
  net::Readiness& readiness() noexcept override { return inner_->readiness(); }
  int fd() const noexcept override { return inner_->fd(); }

 private:
  std::unique_ptr<net::Transport> inner_;
};

// Hands over at most one byte a read and a write, and then wants to be asked again.
class Trickle final : public Wrapped {
 public:
  using Wrapped::Wrapped;
  net::IoResult try_read(MutableBytes into) noexcept override {
    return Wrapped::try_read(into.first(1));
  }
  net::IoResult try_write(std::span<const iovec> pieces) noexcept override {
    const iovec one{pieces.front().iov_base, 1};
    return Wrapped::try_write(std::span<const iovec>(&one, 1));
  }
};

// Loses its peer behind so many writes.
class Breaking final : public Wrapped {
 public:
  using Wrapped::Wrapped;
  void break_after(int writes) noexcept { left_ = writes; }
  net::IoResult try_write(std::span<const iovec> pieces) noexcept override {
    if (left_-- == 0) return net::IoResult::failure(Error(Code::reset, "broken here"));
    return Wrapped::try_write(pieces);
  }

 private:
  int left_ = std::numeric_limits<int>::max();
};

Task<void> accept_and_write(std::unique_ptr<net::Transport> plain, const ServerContext& context,
                            const std::string& text, std::unique_ptr<net::Transport>& out) {
  auto got = co_await accept(std::move(plain), context, 10s);
  if (!got) co_return;
  out = std::move(*got);
  iovec piece = net::piece_of(text);
  auto sent = co_await net::write_all(*out, std::span<iovec>(&piece, 1), 10s);
  EXPECT_TRUE(sent.has_value());
}

// Reads at once: the server's handshake ends with tickets, which do not fit into a socket that
// holds a few hundred one-byte messages.
Task<void> connect_and_read(std::unique_ptr<net::Transport> plain, const ClientContext& context,
                            std::string& text, std::size_t size,
                            std::unique_ptr<net::Transport>& out) {
  auto got = co_await connect(std::move(plain), context, "a.test", 10s);
  if (!got) co_return;
  out = std::move(*got);
  co_await read_text(*out, text, size, 4096);
}

TEST_F(TlsStream, ByteAtATimePeerIsServed) {
  listener_ = server({ca_.issue("a", {.names = {"a.test"}})});
  upstream_ = trusting(ca_);
  const Sockets sockets = connected();
  const std::string text = pattern(40000);
  std::string received;
  std::unique_ptr<net::Transport> server_end;
  std::unique_ptr<net::Transport> client_end;
  TaskGroup group;
  group.spawn(accept_and_write(std::make_unique<Trickle>(transport_of(sockets.second)), *listener_,
                               text, server_end));
  group.spawn(connect_and_read(std::make_unique<Trickle>(transport_of(sockets.first)), *upstream_,
                               received, text.size(), client_end));
  run_until([&] { return group.size() == 0; });
  ASSERT_TRUE(server_end && client_end);
  EXPECT_TRUE(received == text);
  EXPECT_TRUE(pass(*client_end, *server_end, text) == text);
}

// What the peer has may have been acted on: whoever sends it again has to know.
TEST_F(TlsStream, WhatWentOutBeforeAWriteBrokeCounts) {
  listener_ = server({ca_.issue("a", {.names = {"a.test"}})});
  upstream_ = trusting(ca_);
  const Sockets sockets = connected();
  auto plain = std::make_unique<Breaking>(transport_of(sockets.second));
  Breaking& below = *plain;
  const std::string greeting = "hello";
  std::string received;
  std::unique_ptr<net::Transport> server_end;
  std::unique_ptr<net::Transport> client_end;
  TaskGroup group;
  group.spawn(accept_and_write(std::move(plain), *listener_, greeting, server_end));
  group.spawn(connect_and_read(transport_of(sockets.first), *upstream_, received, greeting.size(),
                               client_end));
  run_until([&] { return group.size() == 0; });
  ASSERT_TRUE(server_end && client_end);

  below.break_after(1);
  const std::string text = pattern(40000);
  const iovec piece = net::piece_of(text);
  const auto first = server_end->try_write(std::span<const iovec>(&piece, 1));
  ASSERT_EQ(first.status, IoStatus::done);
  EXPECT_EQ(first.bytes, 16384U) << "one record (RFC 8446 section 5.1)";
  const iovec rest = net::piece_of(Bytes(text).substr(first.bytes));
  const auto then = server_end->try_write(std::span<const iovec>(&rest, 1));
  ASSERT_EQ(then.status, IoStatus::failed);
  EXPECT_EQ(then.error.text(), "broken here");
}

void update_key(net::Transport& transport, int kind) {
  SSL* const ssl = static_cast<TlsTransport&>(transport).ssl();
  ASSERT_EQ(SSL_key_update(ssl, kind), 1);
  ASSERT_EQ(SSL_do_handshake(ssl), 1);
}

TEST_F(TlsStream, KeyUpdatesWithoutDataEndTheConnection) {
  for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
    const Ends ends = open();
    for (int i = 0; i < 200; ++i) update_key(*ends.client, kind);
    char byte = 0;
    const auto got = read_once(*ends.server, MutableBytes(&byte, 1));
    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error().code(), Code::tls_failed);
    EXPECT_EQ(got.error().text(), "too many TLS messages beside the data");
  }
}

TEST_F(TlsStream, AKeyUpdateNowAndThenIsFine) {
  const Ends ends = open();
  const std::string text = pattern(64 * 1024);
  for (int i = 0; i < 100; ++i) {
    update_key(*ends.client, SSL_KEY_UPDATE_REQUESTED);
    ASSERT_TRUE(pass(*ends.client, *ends.server, text) == text) << i;
    ASSERT_TRUE(pass(*ends.server, *ends.client, text) == text) << i;
  }
}

// OpenSSL answers a key update with what is sent next, at the latest when another has come. There
// is no room for that.
TEST_F(TlsStream, AReadThatHasToAnswerFirstEndsWithItsDeadline) {
  const Ends ends = open();
  const std::string junk(4096, 'x');
  for (std::size_t size = junk.size(); size != 0;)
    if (::send(ends.server->fd(), junk.data(), size, MSG_DONTWAIT) < 0) size /= 2;
  for (int i = 0; i < 2; ++i) update_key(*ends.client, SSL_KEY_UPDATE_REQUESTED);
  ends.server->readiness().read_deadline(20ms, Code::body_timeout);
  char byte = 0;
  const auto got = read_once(*ends.server, MutableBytes(&byte, 1));
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code(), Code::body_timeout);
  EXPECT_FALSE(ends.server->readiness().writable);
}

// The read-ahead holds hundreds of them, and each would take microseconds.
TEST_F(TlsStream, OneReadServesOnlySoManyMessages) {
  const Ends ends = open();
  for (int i = 0; i < 200; ++i) update_key(*ends.client, SSL_KEY_UPDATE_NOT_REQUESTED);
  static std::size_t messages;
  messages = 0;
  SSL_set_msg_callback(static_cast<TlsTransport&>(*ends.server).ssl(),
                       [](int sent, int, int type, const void*, std::size_t, SSL*, void*) {
                         if (sent == 0 && type == SSL3_RT_HANDSHAKE) ++messages;
                       });
  char byte = 0;
  EXPECT_FALSE(read_once(*ends.server, MutableBytes(&byte, 1)).has_value());
  EXPECT_LE(messages, limits::kTlsSteps + 1);
}

}  // namespace
}  // namespace revproxyd::tls
