#include "revproxyd/tls/handshake.h"

#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tls/client_context.h"
#include "tls/server_context.h"
#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;

Task<void> serve_for(std::unique_ptr<net::Transport> plain, const ServerContext& context,
                     Duration limit, Code& code, const std::atomic<bool>* refused = nullptr) {
  auto got = co_await accept(std::move(plain), context, limit, refused);
  code = got ? Code::none : got.error().code();
}

class Handshake : public TlsTest {
 protected:
  /// How the handshake on this socket ends, whose client does nothing more.
  Code served(int socket, const ServerContext& context, Duration limit = 10s) {
    Code code = Code::none;
    TaskGroup group;
    group.spawn(serve_for(transport_of(socket), context, limit, code));
    run_until([&] { return group.size() == 0; });
    return code;
  }
};

SSL_CTX* raw(const ClientContext& context) { return context.state().context.get(); }

TEST_F(Handshake, SettlesOnTls13AndTellsWhatWasAgreed) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const auto upstream = trusting(ca_);
  const Ends ends = handshake(*listener, *upstream, "A.test");
  ASSERT_TRUE(ends.server && ends.client);
  EXPECT_EQ(ends.server->tls()->version, "TLSv1.3");
  EXPECT_EQ(ends.server->tls()->cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(ends.server->tls()->server_name, "a.test");
  EXPECT_EQ(ends.server->tls()->alpn, "http/1.1");
  EXPECT_EQ(ends.client->tls()->alpn, "http/1.1");
  EXPECT_FALSE(ends.server->tls()->resumed);
  EXPECT_FALSE(ends.server->tls()->client_certificate);
  EXPECT_EQ(pass(*ends.client, *ends.server, "hello"), "hello");
  EXPECT_EQ(pass(*ends.server, *ends.client, "world"), "world");
}

TEST_F(Handshake, AsksForANameWithoutItsLastDot) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Ends ends = handshake(*listener, *trusting(ca_), "a.test.");
  ASSERT_TRUE(ends.server && ends.client) << ends.client_error.text();
  EXPECT_EQ(ends.server->tls()->server_name, "a.test");
}

TEST_F(Handshake, SpeaksTls12WithAnEphemeralAeadSuite) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const auto upstream = trusting(ca_, true);
  const Ends ends = handshake(*listener, *upstream, "a.test");
  ASSERT_TRUE(ends.server && ends.client);
  EXPECT_EQ(ends.server->tls()->version, "TLSv1.2");
  EXPECT_EQ(ends.server->tls()->cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
  EXPECT_EQ(pass(*ends.client, *ends.server, "hello"), "hello");
}

TEST_F(Handshake, RefusesTls12WhereTls13IsTheMinimum) {
  const auto listener =
      server({ca_.issue("a", {.names = {"a.test"}})}, {.min_version = MinVersion::tls13});
  const auto upstream = trusting(ca_, true);
  const Ends ends = handshake(*listener, *upstream, "a.test");
  EXPECT_FALSE(ends.server || ends.client);
  EXPECT_EQ(ends.server_error.code(), Code::tls_failed);
  EXPECT_EQ(ends.client_error.code(), Code::tls_failed);
}

TEST_F(Handshake, RefusesSuitesWithoutAeadOrEphemeralKeys) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}, .kind = Kind::rsa})});
  const auto upstream = trusting(ca_, true);
  for (const char* suite : {"ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256"}) {
    ASSERT_EQ(SSL_CTX_set_cipher_list(raw(*upstream), suite), 1);
    const Ends ends = handshake(*listener, *upstream, "a.test");
    EXPECT_EQ(ends.server_error.code(), Code::tls_failed) << suite;
    EXPECT_EQ(ends.server_error.text(), "no shared cipher") << suite;
  }
}

TEST_F(Handshake, ChoosesExactNameBeforeWildcardAndFirstWithoutName) {
  const auto listener = server({ca_.issue("first", {.names = {"first.test", "IP:192.0.2.1"}}),
                                ca_.issue("wild", {.names = {"*.a.test"}}),
                                ca_.issue("exact", {.names = {"x.a.test"}})});
  const auto upstream = trusting(ca_);
  for (const char* name : {"x.a.test", "y.a.test", "first.test"}) {
    const Ends ends = handshake(*listener, *upstream, name);
    ASSERT_TRUE(ends.server && ends.client) << name << ": " << ends.client_error.text();
    EXPECT_TRUE(ends.server->tls()->covers(name));
    EXPECT_EQ(ends.server->tls()->covers("z.a.test"), std::string_view(name) == "y.a.test") << name;
  }
  // An address is verified, but not sent as a name.
  const Ends ends = handshake(*listener, *upstream, "192.0.2.1");
  ASSERT_TRUE(ends.server && ends.client) << ends.client_error.text();
  EXPECT_EQ(ends.server->tls()->server_name, "");
}

TEST_F(Handshake, UnknownNameIsRefusedWithAnAlertOrServedTheFirst) {
  const auto entry = ca_.issue("a", {.names = {"a.test", "*.a.test"}});
  const auto insecure = client({.insecure_skip_verify = true});
  const auto rejecting = server({entry});
  for (const char* name : {"other.test", "x.y.a.test", "test", ".a.test"}) {
    const Ends ends = handshake(*rejecting, *insecure, name);
    EXPECT_EQ(ends.server_error.code(), Code::tls_failed) << name;
    EXPECT_EQ(ends.server_error.text(), "no certificate for the server name");
    EXPECT_EQ(ends.client_error.text(), "tlsv1 unrecognized name");
  }
  const auto lenient = server({entry}, {.unknown_sni = UnknownSni::first});
  const Ends ends = handshake(*lenient, *insecure, "other.test");
  ASSERT_TRUE(ends.server && ends.client);
  EXPECT_EQ(ends.server->tls()->server_name, "other.test");
  EXPECT_FALSE(ends.server->tls()->covers("other.test"));
  EXPECT_TRUE(ends.server->tls()->covers("a.test"));
}

TEST_F(Handshake, InternalCertificateServesAnyName) {
  const auto listener = server_with(nullptr, {.internal = true});
  const auto insecure = client({.insecure_skip_verify = true});
  const Ends ends = handshake(*listener, *insecure, "whatever.test");
  ASSERT_TRUE(ends.server && ends.client);
  EXPECT_TRUE(ends.server->tls()->covers("another.test"));
}

TEST_F(Handshake, NoProtocolInCommonIsRefused) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  alpn_ = {"h2"};
  const Ends refused = handshake(*listener, *trusting(ca_), "a.test");
  EXPECT_EQ(refused.server_error.text(), "no protocol in common");
  EXPECT_EQ(refused.client_error.text(), "tlsv1 alert no application protocol");
  alpn_ = {};
  const Ends without = handshake(*listener, *trusting(ca_), "a.test");
  ASSERT_TRUE(without.server && without.client);
  EXPECT_EQ(without.server->tls()->alpn, "");
}

TEST_F(Handshake, ListenerThatNeedsAProtocolRefusesClientsThatOfferNone) {
  alpn_ = {"h2"};
  alpn_required_ = true;
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  alpn_required_ = false;
  const Ends chosen = handshake(*listener, *trusting(ca_), "a.test");
  ASSERT_TRUE(chosen.server && chosen.client);
  EXPECT_EQ(chosen.server->tls()->alpn, "h2");
  alpn_ = {};
  for (const bool tls12 : {false, true}) {
    const Ends refused = handshake(*listener, *trusting(ca_, tls12), "a.test");
    EXPECT_EQ(refused.server_error.code(), Code::tls_failed);
    EXPECT_EQ(refused.server_error.text(), "the client offers no protocol");
    EXPECT_EQ(refused.client_error.text(), "tlsv1 alert no application protocol");
  }
}

TEST_F(Handshake, ClientThatNeedsAProtocolRefusesServersThatChooseNone) {
  alpn_ = {};
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  alpn_ = {"h2"};
  const Ends content = handshake(*listener, *trusting(ca_), "a.test");
  ASSERT_TRUE(content.client);
  EXPECT_EQ(content.client->tls()->alpn, "");
  alpn_required_ = true;
  const Ends refused = handshake(*listener, *trusting(ca_), "a.test");
  EXPECT_EQ(refused.client_error.code(), Code::tls_failed);
  EXPECT_EQ(refused.client_error.text(), "the server chose none of the protocols offered");
}

int choose_h3(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char*,
              unsigned int, void*) {
  static constexpr unsigned char kName[] = {'h', '3'};
  *out = kName;
  *out_size = sizeof kName;
  return SSL_TLSEXT_ERR_OK;
}

TEST_F(Handshake, ServerThatChoosesWhatWasNotOfferedIsRefused) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  SSL_CTX_set_alpn_select_cb(listener->state().context.get(), choose_h3, nullptr);
  const Ends refused = handshake(*listener, *trusting(ca_), "a.test");
  EXPECT_EQ(refused.client_error.code(), Code::tls_failed);
  EXPECT_FALSE(refused.client);
}

// RFC 9113 section 9.2.1.
TEST_F(Handshake, NeitherSideRenegotiatesOrCompresses) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const auto upstream = trusting(ca_);
  for (const SSL_CTX* context :
       {listener->state().context.get(), upstream->state().context.get()}) {
    const auto options = SSL_CTX_get_options(context);
    EXPECT_NE(options & SSL_OP_NO_RENEGOTIATION, 0U);
    EXPECT_NE(options & SSL_OP_NO_COMPRESSION, 0U);
  }
}

TEST_F(Handshake, ServersPreferenceDecidesTheProtocol) {
  alpn_ = {"h2", "http/1.1"};
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  alpn_ = {"http/1.1", "h2"};
  const Ends ends = handshake(*listener, *trusting(ca_), "a.test");
  ASSERT_TRUE(ends.server && ends.client);
  EXPECT_EQ(ends.server->tls()->alpn, "h2");
  EXPECT_EQ(ends.client->tls()->alpn, "h2");
}

TEST_F(Handshake, RequiredClientCertificateMustComeAndBeTrusted) {
  const Authority others(dir_, "others");
  const ListenerTls settings{.client_auth = {ClientAuthMode::required, ca_.file()}};
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})}, settings);
  const auto mine = ca_.issue("mine", {.names = {"client"}});
  const auto foreign = others.issue("foreign", {.names = {"client"}});
  for (const bool tls12 : {false, true}) {
    const Ends missing = handshake(*listener, *trusting(ca_, tls12), "a.test");
    EXPECT_FALSE(missing.server);
    EXPECT_EQ(missing.server_error.code(), Code::certificate_rejected);
    EXPECT_EQ(missing.client_error.code(), Code::tls_failed);

    const Ends wrong = handshake(
        *listener, *client({.ca = ca_.file(), .cert = foreign.cert, .key = foreign.key}, tls12),
        "a.test");
    EXPECT_FALSE(wrong.server);
    EXPECT_EQ(wrong.server_error.code(), Code::certificate_rejected);

    const Ends good =
        handshake(*listener, *client({.ca = ca_.file(), .cert = mine.cert, .key = mine.key}, tls12),
                  "a.test");
    ASSERT_TRUE(good.server && good.client) << good.server_error.text();
    EXPECT_TRUE(good.server->tls()->client_certificate);
  }
}

TEST_F(Handshake, OptionalClientCertificateMayBeAbsentButNotWrong) {
  const Authority others(dir_, "others");
  const ListenerTls settings{.client_auth = {ClientAuthMode::optional, ca_.file()}};
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})}, settings);
  const Ends absent = handshake(*listener, *trusting(ca_), "a.test");
  ASSERT_TRUE(absent.server && absent.client);
  EXPECT_FALSE(absent.server->tls()->client_certificate);
  const auto foreign = others.issue("foreign", {.names = {"client"}});
  const Ends wrong = handshake(
      *listener, *client({.ca = ca_.file(), .cert = foreign.cert, .key = foreign.key}), "a.test");
  EXPECT_EQ(wrong.server_error.code(), Code::certificate_rejected);
}

TEST_F(Handshake, ServersCertificateMustBeTrustedNamedAndValid) {
  const Authority others(dir_, "others");
  const auto expired =
      ca_.issue("old", {.names = {"old.test"}, .days_before = 30, .days_after = -1});
  const auto listener = server({ca_.issue("a", {.names = {"a.test", "*.w.test"}}), expired},
                               {.unknown_sni = UnknownSni::first});
  const auto code = [&](const ClientContext& context, const char* name) {
    const Ends ends = handshake(*listener, context, name);
    return ends.client ? Code::none : ends.client_error.code();
  };
  EXPECT_EQ(code(*trusting(ca_), "a.test"), Code::none);
  EXPECT_EQ(code(*trusting(others), "a.test"), Code::certificate_rejected);
  EXPECT_EQ(code(*trusting(ca_), "b.test"), Code::certificate_rejected);
  EXPECT_EQ(code(*trusting(ca_), "x.w.test"), Code::none);
  EXPECT_EQ(code(*trusting(ca_), "x.y.w.test"), Code::certificate_rejected);
  EXPECT_EQ(code(*trusting(ca_), "192.0.2.7"), Code::certificate_rejected);
  EXPECT_EQ(code(*trusting(ca_), "old.test"), Code::certificate_rejected);
  EXPECT_EQ(code(*client(), "a.test"), Code::certificate_rejected) << "not in the system's store";
  EXPECT_EQ(code(*client({.insecure_skip_verify = true}), "b.test"), Code::none);
}

TEST_F(Handshake, VerificationWithoutANameIsRefused) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Ends ends = handshake(*listener, *trusting(ca_), "");
  EXPECT_EQ(ends.client_error.text(), "no server name to verify");
}

TEST_F(Handshake, SilentClientRunsIntoTheLimit) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Sockets sockets = connected();
  EXPECT_EQ(served(sockets.second, *listener, 50ms), Code::handshake_timeout);
  ::close(sockets.first);
}

// Memory may have run out since the connection was accepted.
TEST_F(Handshake, IsRefusedWhenTheFirstRecordComesAndThereIsNoMemoryForIt) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Sockets sockets = connected();
  std::atomic<bool> refused{false};
  Code code = Code::none;
  TaskGroup group;
  group.spawn(serve_for(transport_of(sockets.second), *listener, 5s, code, &refused));
  const std::string record("\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9);
  ::send(sockets.first, record.data(), record.size() - 1, MSG_NOSIGNAL);
  loop_.run_for(20ms);
  EXPECT_EQ(group.size(), 1U);
  refused = true;
  ::send(sockets.first, record.data() + record.size() - 1, 1, MSG_NOSIGNAL);
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(code, Code::memory_limit);
  ::close(sockets.first);
}

TEST_F(Handshake, ClientThatTricklesStillRunsIntoTheLimit) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Sockets sockets = connected();
  Code code = Code::none;
  TaskGroup group;
  group.spawn(serve_for(transport_of(sockets.second), *listener, 100ms, code));
  // The heads of a record and of a ClientHello of 252 bytes, then its bytes.
  const std::string head("\x16\x03\x01\x01\x00\x01\x00\x00\xFC", 9);
  const auto end = Clock::now() + 5s;
  for (std::size_t sent = 0; group.size() != 0 && Clock::now() < end; ++sent) {
    const char byte = sent < head.size() ? head[sent] : '\x03';
    ::send(sockets.first, &byte, 1, MSG_NOSIGNAL);
    const auto next = Clock::now() + 10ms;
    while (Clock::now() < next) loop_.run_for(5ms);
  }
  EXPECT_EQ(code, Code::handshake_timeout);
  ::close(sockets.first);
}

// RFC 8446 section 5.1: 16 KiB. There is nothing to wait for.
TEST_F(Handshake, FirstRecordThatIsLongerThanAnyIsRefusedAtOnce) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Sockets sockets = connected();
  Code code = Code::none;
  TaskGroup group;
  group.spawn(serve_for(transport_of(sockets.second), *listener, 60s, code));
  const std::string head("\x16\x03\x01\xFF\xFF\x01\x00\xFF\xFB", 9);
  ASSERT_EQ(::send(sockets.first, head.data(), head.size(), MSG_NOSIGNAL), 9);
  ASSERT_EQ(::shutdown(sockets.first, SHUT_WR), 0);  // else its alert is waited for
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(code, Code::tls_failed);
  ::close(sockets.first);
}

TEST_F(Handshake, FirstRecordThatIsLongerThanAnyIsAnsweredWhileItsClientWaits) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Sockets sockets = connected();
  Code code = Code::none;
  TaskGroup group;
  group.spawn(serve_for(transport_of(sockets.second), *listener, 60s, code));
  const std::string head("\x16\x03\x01\xFF\xFF", 5);
  ASSERT_EQ(::send(sockets.first, head.data(), head.size(), MSG_NOSIGNAL), 5);
  char alert = 0;
  run_until([&] { return alert != 0 || ::recv(sockets.first, &alert, 1, MSG_DONTWAIT) == 1; });
  EXPECT_EQ(alert, '\x15');
  ::close(sockets.first);
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(code, Code::tls_failed);
}

TEST_F(Handshake, ClientThatSaysHelloAndNoMoreRunsIntoTheLimit) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  const SslPtr ssl(SSL_new(context.get()));
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_connect(ssl.get());
  char* hello = nullptr;
  const long size = BIO_ctrl(out, BIO_CTRL_INFO, 0, &hello);
  ASSERT_GT(size, 0);
  const Sockets sockets = connected();
  ASSERT_EQ(::send(sockets.first, hello, static_cast<std::size_t>(size), MSG_NOSIGNAL), size);
  Code code = Code::none;
  TaskGroup group;
  group.spawn(serve_for(transport_of(sockets.second), *listener, 100ms, code));
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(code, Code::handshake_timeout);
  char byte = 0;
  EXPECT_EQ(::recv(sockets.first, &byte, 1, 0), 1) << "the server has answered";
  ::close(sockets.first);
}

TEST_F(Handshake, WorksWithAnEd25519Key) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}, .kind = Kind::ed25519})});
  for (const bool tls12 : {false, true}) {
    const Ends ends = handshake(*listener, *trusting(ca_, tls12), "a.test");
    EXPECT_TRUE(ends.client) << ends.client_error.text() << " " << tls12;
  }
}

TEST_F(Handshake, CancellationEndsIt) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Sockets sockets = connected();
  Code code = Code::none;
  TaskGroup group;
  group.spawn(serve_for(transport_of(sockets.second), *listener, 10s, code));
  loop_.run_for(1ms);
  group.cancel(Code::shutdown);
  run_until([&] { return group.size() == 0; });
  EXPECT_EQ(code, Code::shutdown);
  char byte = 0;
  EXPECT_EQ(::recv(sockets.first, &byte, 1, 0), 0) << "the connection is closed";
  ::close(sockets.first);
}

TEST_F(Handshake, PlainHttpIsToldApart) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Sockets sockets = connected();
  const std::string_view request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
  ASSERT_EQ(::send(sockets.first, request.data(), request.size(), 0),
            static_cast<ssize_t>(request.size()));
  ::shutdown(sockets.first, SHUT_WR);
  EXPECT_EQ(served(sockets.second, *listener), Code::tls_failed);
  ::close(sockets.first);
}

TEST_F(Handshake, ClientThatLeavesInOrderBeforeOrInsideItIsNoReset) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  for (const std::string_view begun : {std::string_view(), std::string_view("\x16\x03\x01", 3)}) {
    const Sockets sockets = connected();
    ASSERT_EQ(::send(sockets.first, begun.data(), begun.size(), 0),
              static_cast<ssize_t>(begun.size()));
    ::close(sockets.first);
    EXPECT_EQ(served(sockets.second, *listener), Code::end_of_stream);
  }
}

TEST_F(Handshake, ClientThatResetsIsAReset) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Sockets sockets = connected();
  // What is left unread makes the close a reset.
  ASSERT_EQ(::send(sockets.second, "x", 1, 0), 1);
  ::close(sockets.first);
  EXPECT_EQ(served(sockets.second, *listener), Code::reset);
}

TEST_F(Handshake, FailureOfOneConnectionLeavesOthersAlone) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const Ends good = handshake(*listener, *trusting(ca_), "a.test");
  const Ends bad = handshake(*listener, *trusting(ca_), "b.test");
  ASSERT_TRUE(good.server && !bad.server);
  ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);  // what a careless call might leave behind
  EXPECT_EQ(pass(*good.client, *good.server, "still fine"), "still fine");
}

}  // namespace
}  // namespace revproxyd::tls
