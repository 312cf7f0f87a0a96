#include "tls/server_context.h"

#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;
using namespace std::string_literals;

std::string two_bytes(std::size_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number & 0xFF)};
}

/// A ClientHello whose server_name extension is `content`, of whatever form: one that OpenSSL takes
/// as it is, a ticket, is renamed.
std::string hello_with(std::string content) {
  const SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  const SslPtr ssl(SSL_new(context.get()));
  SSL_set_session_ticket_ext(ssl.get(), content.data(), static_cast<int>(content.size()));
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_connect(ssl.get());
  char* bytes = nullptr;
  const long size = BIO_ctrl(out, BIO_CTRL_INFO, 0, &bytes);
  std::string hello(bytes, static_cast<std::size_t>(size));
  const std::string ticket = "\0\x23"s + two_bytes(content.size()) + content;
  const std::size_t at = hello.find(ticket);
  EXPECT_NE(at, std::string::npos);
  hello[at + 1] = '\0';
  return hello;
}

std::string list_of(const std::string& name) {
  return two_bytes(name.size() + 3) + "\0"s + two_bytes(name.size()) + name;
}

Task<void> serve(std::unique_ptr<net::Transport> plain, const ServerContext& context, Error& why) {
  auto got = co_await accept(std::move(plain), context, 5s);
  if (!got) why = got.error();
}

/// Why a listener for a.test alone has refused the hello, after which the client leaves.
class ANameOfAClient : public TlsTest {
 protected:
  std::string refusal_of(const std::string& content) {
    const std::string hello = hello_with(content);
    const Sockets sockets = connected();
    EXPECT_EQ(::send(sockets.first, hello.data(), hello.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(hello.size()));
    ::shutdown(sockets.first, SHUT_WR);
    Error why(Code::none);
    TaskGroup group;
    group.spawn(serve(transport_of(sockets.second), *listener_, why));
    run_until([&] { return group.size() == 0; });
    ::close(sockets.first);
    return std::string(why.text());
  }

  std::shared_ptr<const ServerContext> listener_ = server({ca_.issue("a", {.names = {"a.test"}})});
};

TEST_F(ANameOfAClient, IsComparedInLowerCaseWithoutItsLastDot) {
  const std::string gone = refusal_of(list_of("a.test"));
  EXPECT_EQ(gone.find("server name"), std::string::npos) << gone;
  EXPECT_EQ(refusal_of(list_of("A.test")), gone);
  EXPECT_EQ(refusal_of(list_of("a.test.")), gone);
  EXPECT_EQ(refusal_of(list_of("b.test")), "no certificate for the server name");
}

// RFC 6066 section 3.
TEST_F(ANameOfAClient, IsRefusedWhereItsListIsMalformed) {
  for (const std::string& content : {"\0\3\0\0\0"s,              // an empty name
                                     "\0\x09\1\0\6a.test"s,      // a name of another type
                                     "\0\x08\0\0\6a.test"s,      // a list that is shorter
                                     "\0\x0A\0\0\6a.test"s,      // one that is longer
                                     "\1\x09\0\0\6a.test"s,      // one that is much longer
                                     "\0\x09\0\0\5a.test"s,      // a name that is shorter
                                     "\0\x09\0\0\7a.test"s,      // one that is longer
                                     "\0\x09\0\0\6a.tes\0"s,     // a NUL in it
                                     list_of("a.test") + "\0"s,  // bytes behind the list
                                     "\0"s, "\0\0"s, "\0\x12"s})
    EXPECT_EQ(refusal_of(content), "malformed server name");
}

TEST_F(ANameOfAClient, HasAtMost255Bytes) {
  EXPECT_EQ(refusal_of(list_of(std::string(255, 'a'))), "no certificate for the server name");
  EXPECT_EQ(refusal_of(list_of(std::string(256, 'a'))), "malformed server name");
}

}  // namespace
}  // namespace revproxyd::tls
