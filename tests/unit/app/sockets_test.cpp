#include "app/sockets.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include <gtest/gtest.h>

#include "app/packets.h"
#include "app/upgrade.h"
#include "revproxyd/net/listener.h"

namespace revproxyd::app {
namespace {

net::BindAddress loopback(std::uint16_t port = 0) {
  net::BindAddress address;
  address.text = "127.0.0.1:" + std::to_string(port);
  address.host = "127.0.0.1";
  address.port = port;
  return address;
}

std::vector<net::Descriptor> siblings(std::size_t count) {
  return std::move(bind_address(loopback(), count, true)->kept);
}

TEST(Sockets, EachWorkerGetsItsOwn) {
  const auto bound = bind_address(loopback(), 3, true);
  ASSERT_TRUE(bound);
  EXPECT_EQ(bound->kept.size(), 3U);
  for (const WorkerSockets& worker : bound->of_workers) EXPECT_EQ(worker.size(), 1U);
  EXPECT_TRUE(bound->sibling.text.empty());
}

TEST(Sockets, WorkersThatAreMoreGetSiblingsLast) {
  auto bound = share_out(siblings(2), 4);
  ASSERT_TRUE(bound);
  EXPECT_TRUE(bound->of_workers[3].empty());
  complete(*bound);
  EXPECT_EQ(bound->kept.size(), 4U);
  for (const WorkerSockets& worker : bound->of_workers) {
    ASSERT_EQ(worker.size(), 1U);
    EXPECT_EQ(net::local_address(worker.front()->get()).port(), bound->port);
  }
}

TEST(Sockets, WorkersThatAreFewerShareTheRest) {
  const auto bound = share_out(siblings(3), 2);
  ASSERT_TRUE(bound);
  for (const WorkerSockets& worker : bound->of_workers) EXPECT_EQ(worker.size(), 2U);
  EXPECT_EQ(bound->kept.size(), 3U);
}

TEST(Sockets, OneWithoutTheOptionIsForAll) {
  std::vector<net::Descriptor> one;
  one.push_back(std::move(*net::bind_listener(loopback(), false, 16)));
  auto bound = share_out(std::move(one), 3);
  ASSERT_TRUE(bound);
  complete(*bound);
  for (const WorkerSockets& worker : bound->of_workers) EXPECT_EQ(worker.size(), 1U);
  EXPECT_EQ(bound->kept.size(), 1U);
}

TEST(Inherited, AreFoundByAddressNameOrIdentity) {
  proxy::ListenerSettings listener;
  listener.name = "web";
  for (const std::string& label : {std::string("other"), std::string("web")}) {
    InheritedSockets inherited;
    auto socket = net::bind_listener(loopback(), false, 16);
    const std::uint16_t port = net::local_address(socket->get()).port();
    inherited.add(std::move(*socket), label);
    listener.address = loopback(label == "web" ? 0 : port);
    EXPECT_EQ(inherited.take(listener, {}).size(), 1U) << label;
    EXPECT_TRUE(inherited.empty());
  }
  InheritedSockets inherited;
  inherited.add(std::move(*net::bind_listener(loopback(), false, 16)), "web 127.0.0.1:0");
  listener.address = loopback();
  EXPECT_EQ(inherited.take(listener, {}).size(), 1U);
}

// ":80" takes both families, "0.0.0.0:80" one.
TEST(Inherited, AWildcardOfAPredecessorIsForTheSameWildcardOnly) {
  net::BindAddress everywhere = loopback();
  everywhere.host = "0.0.0.0";
  proxy::ListenerSettings listener;
  listener.name = "web";
  for (const bool of_service_manager : {false, true}) {
    InheritedSockets inherited;
    auto socket = net::bind_listener(everywhere, false, 16);
    const std::uint16_t port = net::local_address(socket->get()).port();
    const std::string number = ":" + std::to_string(port);
    inherited.add(std::move(*socket), of_service_manager ? "http" : "0.0.0.0" + number);
    EXPECT_TRUE(inherited.holds_port(port));
    listener.address.text = number;
    listener.address.host.clear();
    listener.address.port = port;
    EXPECT_EQ(inherited.take(listener, {}).size(), of_service_manager ? 1U : 0U);
    listener.address.text = "0.0.0.0" + number;
    listener.address.host = "0.0.0.0";
    EXPECT_EQ(inherited.take(listener, {}).size(), of_service_manager ? 0U : 1U);
    EXPECT_FALSE(inherited.holds_port(port));
  }
}

TEST(Inherited, OthersAreLeft) {
  InheritedSockets inherited;
  inherited.add(std::move(*net::bind_listener(loopback(), false, 16)), "other");
  proxy::ListenerSettings listener;
  listener.name = "web";
  listener.address = loopback(9);
  EXPECT_TRUE(inherited.take(listener, {}).empty());
  EXPECT_FALSE(inherited.empty());
  EXPECT_EQ(inherited.drop_rest(), std::vector<std::string>{"other"});
  EXPECT_TRUE(inherited.empty());
}

TEST(Packets, CarryTextAndDescriptors) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const net::Descriptor near(pair[0]);
  net::Descriptor far(pair[1]);
  const net::Descriptor file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::vector<int> many(kPacketSockets, file.get());
  ASSERT_TRUE(send_packet(near.get(), "first", many));
  ASSERT_TRUE(send_packet(near.get(), "second"));
  auto first = receive_packet(far.get());
  ASSERT_TRUE(first);
  EXPECT_EQ(first->text, "first");
  EXPECT_EQ(first->sockets.size(), kPacketSockets);
  auto second = receive_packet(far.get());
  ASSERT_TRUE(second);
  EXPECT_EQ(second->text, "second");
  EXPECT_TRUE(second->sockets.empty());
  EXPECT_FALSE(send_packet(near.get(), "x", std::vector<int>(kPacketSockets + 1, file.get())));
  far.reset();
  auto none = receive_packet(near.get());
  EXPECT_FALSE(none);
}

TEST(Packets, ThatAreTooLargeAreRefused) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const net::Descriptor near(pair[0]);
  const net::Descriptor far(pair[1]);
  const std::string large(kPacketBytes + 1, 'x');
  ASSERT_EQ(::send(near.get(), large.data(), large.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(large.size()));
  const auto cut = receive_packet(far.get());
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().sys(), EMSGSIZE);
  ASSERT_TRUE(send_packet(near.get(), large));
  EXPECT_EQ(receive_packet(far.get())->text.size(), kPacketBytes);
}

TEST(Packets, WordsOfTheKernelAreNoDescriptors) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const net::Descriptor near(pair[0]);
  const net::Descriptor far(pair[1]);
  const int on = 1;
  ASSERT_EQ(::setsockopt(far.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  ASSERT_TRUE(send_packet(near.get(), "first"));
  const auto packet = receive_packet(far.get());
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->text, "first");
  EXPECT_TRUE(packet->sockets.empty());
}

TEST(Packets, AreNotSentToWhoHasGone) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const net::Descriptor near(pair[0]);
  net::Descriptor(pair[1]).reset();
  EXPECT_EQ(send_packet(near.get(), "first").error().sys(), EPIPE);
}

TEST(Tickets, SurviveTheirMessage) {
  tls::TicketKeys keys;
  keys.current();
  const auto entries = keys.entries();
  ASSERT_EQ(entries.size(), 1U);
  const auto decoded = decode_tickets(encode_tickets(entries));
  ASSERT_EQ(decoded.size(), 1U);
  EXPECT_EQ(decoded.front().key.cipher, entries.front().key.cipher);
  tls::TicketKeys successor;
  successor.adopt(decoded);
  EXPECT_TRUE(successor.find(entries.front().key.name));
  EXPECT_EQ(successor.current().name, entries.front().key.name);
}

TEST(Tickets, TooOldOnesAreLeft) {
  tls::TicketKeys keys;
  keys.current();
  auto entries = keys.entries();
  entries.front().made -= tls::TicketKeys::kKept;
  tls::TicketKeys successor;
  successor.adopt(entries);
  EXPECT_TRUE(successor.entries().empty());
}

}  // namespace
}  // namespace revproxyd::app
