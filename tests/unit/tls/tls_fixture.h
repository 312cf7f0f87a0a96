#pragma once
// Certificates made on the spot, and both ends of a TLS connection in one loop.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/task_group.h"
#include "revproxyd/net/loop.h"
#include "revproxyd/net/transport.h"
#include "revproxyd/tls/certificates.h"
#include "revproxyd/tls/context.h"
#include "revproxyd/tls/handshake.h"
#include "tls/openssl.h"

namespace revproxyd::tls::test {

using namespace std::chrono_literals;

/// A directory that is gone after the test.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string path(std::string_view name) const { return root_ + "/" + std::string(name); }
  std::string write(std::string_view name, std::string_view text) const;

 private:
  std::string root_;
};

enum class Kind { ec, ec192, rsa, rsa1024, ed25519, ed448 };

struct Wanted {
  std::vector<std::string> names;  // DNS names, or addresses written "IP:..."
  Kind kind = Kind::ec;
  int days_before = 1;  // began so many days ago
  int days_after = 365;
  int seconds_after = 0;  // beyond those days
};

/// A certificate authority whose files are in a TempDir.
class Authority {
 public:
  explicit Authority(const TempDir& dir, std::string name = "ca",
                     const Authority* issuer = nullptr);
  const std::string& file() const noexcept { return file_; }
  std::string pem() const;
  /// Writes FILE.pem and FILE.key; hosts are the names without "IP:".
  Certificate issue(const std::string& file, const Wanted& wanted) const;

 private:
  const TempDir& dir_;
  std::string name_;
  std::string file_;
  X509Ptr certificate_;
  KeyPtr key_;
};

/// A pair of connected UNIX stream sockets, non-blocking, with send buffers of `buffer` bytes
/// unless it is 0.
struct Sockets {
  int first = -1;
  int second = -1;
};
Sockets connected(int buffer = 0);

std::unique_ptr<net::Transport> transport_of(int fd);

/// What the two ends made of a handshake.
struct Ends {
  std::unique_ptr<net::Transport> server;
  std::unique_ptr<net::Transport> client;
  Error server_error{Code::none};
  Error client_error{Code::none};
};

class TlsTest : public ::testing::Test {
 protected:
  /// Runs the loop until `done`, at most 20 s; fails the test otherwise.
  void run_until(const std::function<bool()>& done);

  std::shared_ptr<const CertificateStore> store(const std::vector<Certificate>& entries);
  std::shared_ptr<const ServerContext> server(const std::vector<Certificate>& entries,
                                              ListenerTls settings = {});
  std::shared_ptr<const ServerContext> server_with(
      std::shared_ptr<const CertificateStore> certificates, ListenerTls settings);
  std::shared_ptr<const ClientContext> client(UpstreamTls settings = {}, bool tls12 = false);
  /// One that trusts `authority`.
  std::shared_ptr<const ClientContext> trusting(const Authority& authority, bool tls12 = false);

  Ends handshake(const ServerContext& server_side, const ClientContext& client_side,
                 std::string_view name, Sockets sockets = connected());
  /// Sends `text` one way and returns what arrives.
  std::string pass(net::Transport& from, net::Transport& to, std::string_view text);
  /// Reads once.
  Result<std::size_t> read_once(net::Transport& transport, MutableBytes into);

  net::Loop loop_;
  TempDir dir_;
  Authority ca_{dir_};
  std::vector<std::string> alpn_{"http/1.1"};
  bool alpn_required_ = false;
  std::shared_ptr<TicketKeys> tickets_ = std::make_shared<TicketKeys>();
};

}  // namespace revproxyd::tls::test
