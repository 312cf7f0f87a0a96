#include "tls_fixture.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "tls/client_context.h"

namespace revproxyd::tls::test {

namespace {

// Making RSA keys takes long, so all certificates share one of each size.
KeyPtr key_of(Kind kind) {
  switch (kind) {
    case Kind::ec: return KeyPtr(EVP_EC_gen("P-256"));
    case Kind::ec192: return KeyPtr(EVP_EC_gen("P-192"));
    case Kind::ed25519: return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    case Kind::ed448: return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448"));
    case Kind::rsa:
    case Kind::rsa1024: break;
  }
  static std::map<Kind, KeyPtr> keys;
  KeyPtr& key = keys[kind];
  if (!key) key.reset(EVP_RSA_gen(kind == Kind::rsa ? 2048 : 1024));
  EVP_PKEY_up_ref(key.get());
  return KeyPtr(key.get());
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509Ptr blank(EVP_PKEY* key, const std::string& subject, int days_before, long seconds_after) {
  static long serial = 1000;
  X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -86400L * days_before);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), seconds_after);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
  return certificate;
}

std::string pem_of(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  char* data = nullptr;
  const long size = BIO_ctrl(bio.get(), BIO_CTRL_INFO, 0, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string pem_of(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_ctrl(bio.get(), BIO_CTRL_INFO, 0, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

Task<void> serve(Ends& ends, std::unique_ptr<net::Transport> plain, const ServerContext& context) {
  auto got = co_await accept(std::move(plain), context, 10s);
  if (got) {
    ends.server = std::move(*got);
  } else {
    ends.server_error = got.error();
  }
}

Task<void> go(Ends& ends, std::unique_ptr<net::Transport> plain, const ClientContext& context,
              std::string_view name) {
  auto got = co_await connect(std::move(plain), context, name, 10s);
  if (got) {
    ends.client = std::move(*got);
  } else {
    ends.client_error = got.error();
  }
}

Task<void> send(net::Transport& to, std::string_view text) {
  iovec piece = net::piece_of(text);
  auto sent = co_await net::write_all(to, std::span<iovec>(&piece, 1), 10s);
  EXPECT_TRUE(sent.has_value());
}

Task<void> receive(net::Transport& from, std::string& text, std::size_t size) {
  std::vector<char> buffer(4096);
  while (text.size() < size) {
    auto got = co_await net::read_some(from, MutableBytes(buffer));
    if (!got || *got == 0) break;
    text.append(buffer.data(), *got);
  }
}

Task<void> read_into(net::Transport& from, MutableBytes into, Result<std::size_t>& result) {
  auto got = co_await net::read_some(from, into);
  result = got;
}

}  // namespace

TempDir::TempDir() {
  std::string pattern = std::filesystem::temp_directory_path() / "revproxyd-tls-XXXXXX";
  root_ = ::mkdtemp(pattern.data());
}

TempDir::~TempDir() { std::filesystem::remove_all(root_); }

std::string TempDir::write(std::string_view name, std::string_view text) const {
  const std::string file = path(name);
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
  ::chmod(file.c_str(), 0600);
  return file;
}

Authority::Authority(const TempDir& dir, std::string name, const Authority* issuer)
    : dir_(dir), name_(std::move(name)), key_(key_of(Kind::ec)) {
  certificate_ = blank(key_.get(), "test " + name_, 10, 86400L * 3650);
  X509* const above = issuer != nullptr ? issuer->certificate_.get() : certificate_.get();
  X509_set_issuer_name(certificate_.get(), X509_get_subject_name(above));
  extend(certificate_.get(), above, NID_basic_constraints, "critical,CA:TRUE");
  extend(certificate_.get(), above, NID_key_usage, "critical,keyCertSign");
  X509_sign(certificate_.get(), issuer != nullptr ? issuer->key_.get() : key_.get(), EVP_sha256());
  file_ = dir_.write(name_ + ".pem", pem());
}

std::string Authority::pem() const { return pem_of(certificate_.get()); }

Certificate Authority::issue(const std::string& file, const Wanted& wanted) const {
  const KeyPtr key = key_of(wanted.kind);
  const X509Ptr certificate =
      blank(key.get(), file, wanted.days_before, 86400L * wanted.days_after + wanted.seconds_after);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate_.get()));
  Certificate entry;
  std::string names;
  for (const std::string& name : wanted.names) {
    const bool ip = name.starts_with("IP:");
    names += (names.empty() ? "" : ",") + (ip ? name : "DNS:" + name);
    entry.hosts.push_back(ip ? name.substr(3) : name);
  }
  if (!names.empty()) extend(certificate.get(), certificate_.get(), NID_subject_alt_name, names);
  X509_sign(certificate.get(), key_.get(), EVP_sha256());
  entry.cert = dir_.write(file + ".pem", pem_of(certificate.get()));
  entry.key = dir_.write(file + ".key", pem_of(key.get()));
  return entry;
}

Sockets connected(int buffer) {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  for (const int fd : fds) {
    if (buffer != 0) ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  }
  return {fds[0], fds[1]};
}

std::unique_ptr<net::Transport> transport_of(int fd) {
  auto made = net::make_socket_transport(fd);
  EXPECT_TRUE(made.has_value());
  return std::move(*made);
}

void TlsTest::run_until(const std::function<bool()>& done) {
  const auto end = Clock::now() + 20s;
  while (!done() && Clock::now() < end) loop_.run_for(100ms);
  ASSERT_TRUE(done()) << "nothing happened any more";
}

std::shared_ptr<const CertificateStore> TlsTest::store(const std::vector<Certificate>& entries) {
  auto loaded = CertificateStore::load(entries, std::chrono::system_clock::now());
  for (const config::Finding& error : loaded.errors) ADD_FAILURE() << error.text;
  return loaded.store;
}

std::shared_ptr<const ServerContext> TlsTest::server(const std::vector<Certificate>& entries,
                                                     ListenerTls settings) {
  return server_with(store(entries), std::move(settings));
}

std::shared_ptr<const ServerContext> TlsTest::server_with(
    std::shared_ptr<const CertificateStore> certificates, ListenerTls settings) {
  ServerContext::Options options{std::move(settings), std::move(certificates), alpn_,
                                 alpn_required_, tickets_};
  auto built = ServerContext::create(std::move(options));
  EXPECT_EQ(built.error, "");
  return built.context;
}

std::shared_ptr<const ClientContext> TlsTest::client(UpstreamTls settings, bool tls12) {
  auto built = ClientContext::create({std::move(settings), alpn_, alpn_required_});
  EXPECT_EQ(built.error, "");
  if (tls12) SSL_CTX_set_max_proto_version(built.context->state().context.get(), TLS1_2_VERSION);
  return built.context;
}

std::shared_ptr<const ClientContext> TlsTest::trusting(const Authority& authority, bool tls12) {
  UpstreamTls settings;
  settings.ca = authority.file();
  return client(settings, tls12);
}

Ends TlsTest::handshake(const ServerContext& server_side, const ClientContext& client_side,
                        std::string_view name, Sockets sockets) {
  Ends ends;
  TaskGroup group;
  group.spawn(serve(ends, transport_of(sockets.second), server_side));
  group.spawn(go(ends, transport_of(sockets.first), client_side, name));
  // With TLS 1.3 the client is done before the server has judged its certificate, and the server
  // lingers until it leaves.
  run_until(
      [&] { return group.size() == 0 || (group.size() == 1 && ends.client && !ends.server); });
  if (group.size() != 0)
    run_until([&] { return group.size() == 0 || ends.client->readiness().readable; });
  if (group.size() != 0) {
    char byte = 0;
    ends.client_error = read_once(*ends.client, MutableBytes(&byte, 1)).error();
    ends.client.reset();
    run_until([&] { return group.size() == 0; });
  }
  return ends;
}

std::string TlsTest::pass(net::Transport& from, net::Transport& to, std::string_view text) {
  std::string received;
  TaskGroup group;
  group.spawn(receive(to, received, text.size()));
  group.spawn(send(from, text));
  run_until([&] { return group.size() == 0; });
  return received;
}

Result<std::size_t> TlsTest::read_once(net::Transport& transport, MutableBytes into) {
  Result<std::size_t> result{Error(Code::internal)};
  TaskGroup group;
  group.spawn(read_into(transport, into, result));
  run_until([&] { return group.size() == 0; });
  return result;
}

}  // namespace revproxyd::tls::test
