// Against the tools that users have: curl and openssl s_client.

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include <gtest/gtest.h>

#include "revproxyd/tls/handshake.h"
#include "tls_fixture.h"

namespace revproxyd::tls {
namespace {

using namespace test;

Task<void> answer(std::unique_ptr<net::Transport> plain, const ServerContext& context,
                  Error& error) {
  auto got = co_await accept(std::move(plain), context, 10s);
  if (!got) {
    error = got.error();
    co_return;
  }
  net::Transport& transport = **got;
  std::vector<char> buffer(4096);
  auto asked = co_await net::read_some(transport, MutableBytes(buffer));
  if (!asked) error = asked.error();
  std::string text = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nversion=" +
                     std::string(transport.tls()->version) +
                     " sni=" + transport.tls()->server_name + " alpn=" + transport.tls()->alpn +
                     "\n";
  iovec piece = net::piece_of(text);
  auto sent = co_await net::write_all(transport, std::span<iovec>(&piece, 1), 10s);
  auto down = co_await net::shutdown(transport);
  if (asked && !(sent && down)) error = Error(Code::reset);
  auto rest = co_await net::read_some(transport, MutableBytes(buffer));
  static_cast<void>(rest);
}

class Tools : public TlsTest {
 protected:
  void SetUp() override {
    listener_fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(listener_fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(listener_fd_, 8), 0);
    ::getsockname(listener_fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = std::to_string(ntohs(address.sin_port));
  }
  void TearDown() override { ::close(listener_fd_); }

  // Runs a shell command while its connection is served by `context`; what it printed.
  std::string run(const std::string& command, const ServerContext& context) {
    std::string output;
    std::atomic<bool> ended = false;
    std::thread shell([&] {
      FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
      char chunk[512];
      while (pipe != nullptr && std::fgets(chunk, sizeof chunk, pipe) != nullptr) output += chunk;
      if (pipe != nullptr) ::pclose(pipe);
      ended = true;
    });
    TaskGroup group;
    while (!ended || group.size() != 0) {
      const int fd = ::accept4(listener_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) group.spawn(answer(transport_of(fd), context, error_));
      loop_.run_for(10ms);
    }
    shell.join();
    return output;
  }

  std::string curl(const std::string& arguments) const {
    return "curl -sS --max-time 10 --cacert " + ca_.file() + " --resolve a.test:" + port_ +
           ":127.0.0.1 " + arguments + " https://a.test:" + port_ + "/";
  }

  int listener_fd_ = -1;
  std::string port_;
  Error error_{Code::none};
};

TEST_F(Tools, CurlIsServedWithEitherVersion) {
  const auto listener = server({ca_.issue("rsa", {.names = {"a.test"}, .kind = Kind::rsa}),
                                ca_.issue("ec", {.names = {"a.test"}})});
  EXPECT_EQ(run(curl("--http1.1"), *listener), "version=TLSv1.3 sni=a.test alpn=http/1.1\n");
  EXPECT_EQ(run(curl("--http1.1 --tls-max 1.2"), *listener),
            "version=TLSv1.2 sni=a.test alpn=http/1.1\n");
  EXPECT_EQ(error_.code(), Code::none);
}

TEST_F(Tools, CurlWithoutTheRequiredCertificateIsToldSo) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})},
                               {.client_auth = {ClientAuthMode::required, ca_.file()}});
  const std::string refused = run(curl("--http1.1"), *listener);
  EXPECT_NE(refused.find("certificate required"), std::string::npos) << refused;
  EXPECT_EQ(error_.code(), Code::certificate_rejected);
  const auto mine = ca_.issue("mine", {.names = {"client"}});
  error_ = Error(Code::none);
  const std::string served =
      run(curl("--http1.1 --cert " + mine.cert + " --key " + mine.key), *listener);
  EXPECT_EQ(served, "version=TLSv1.3 sni=a.test alpn=http/1.1\n");
}

TEST_F(Tools, OpensslResumesItsSession) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const std::string common =
      "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 10 openssl s_client -ign_eof -connect "
      "127.0.0.1:" +
      port_ + " -servername a.test -verify_return_error -CAfile " + ca_.file();
  for (const char* version : {" -tls1_3", " -tls1_2"}) {
    const std::string session = dir_.path("session") + version[6];
    const std::string first = run(common + version + " -sess_out " + session, *listener);
    EXPECT_NE(first.find("New, TLSv1."), std::string::npos) << first;
    EXPECT_NE(first.find("sni=a.test"), std::string::npos) << first;
    const std::string second = run(common + version + " -sess_in " + session, *listener);
    EXPECT_NE(second.find("Reused, TLSv1."), std::string::npos) << second;
  }
}

TEST_F(Tools, OldVersionsAndRenegotiationAreRefused) {
  const auto listener = server({ca_.issue("a", {.names = {"a.test"}})});
  const std::string base =
      "timeout 10 openssl s_client -connect 127.0.0.1:" + port_ + " -servername a.test ";
  const std::string old = run("echo | " + base + "-tls1_1 -cipher ALL:@SECLEVEL=0", *listener);
  EXPECT_NE(old.find("alert protocol version"), std::string::npos) << old;
  const std::string again = run("(echo R; sleep 1) | " + base + "-tls1_2", *listener);
  EXPECT_NE(again.find("no renegotiation"), std::string::npos) << again;
}

}  // namespace
}  // namespace revproxyd::tls
