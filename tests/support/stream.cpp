#include "tests/support/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>
#include <mutex>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

namespace revproxyd::testing {

namespace {

struct Release {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};

std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : std::to_string(code);
}

void load_certificate(SSL_CTX* context, const Certificate& certificate) {
  if (SSL_CTX_use_certificate_chain_file(context, certificate.cert_file.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, certificate.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw TlsError("certificate: " + openssl_error());
  }
}

std::string wire_form(const std::vector<std::string>& protocols) {
  std::string out;
  for (const std::string& name : protocols) out += static_cast<char>(name.size()) + name;
  return out;
}

// Context data: the protocol that is taken.
int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* size,
                    const unsigned char* in, unsigned in_size, void*) {
  const auto* wanted = static_cast<const std::string*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  for (unsigned at = 0; at + 1 < in_size; at += in[at] + 1U) {
    *out = in + at + 1;
    *size = in[at];
    if (*wanted == std::string(*out, *out + *size)) return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

}  // namespace

struct Stream::State {
  int fd = -1;
  SSL* ssl = nullptr;
  std::shared_ptr<SSL_CTX> context;
};

void Stream::Close::operator()(State* state) const noexcept {
  SSL_free(state->ssl);
  if (state->fd >= 0) ::close(state->fd);
  delete state;
}

Stream::Stream(int fd) : state_(new State) {
  // OpenSSL writes without MSG_NOSIGNAL.
  static const bool quiet = ::signal(SIGPIPE, SIG_IGN) != SIG_ERR;
  if (!quiet) throw std::runtime_error("cannot ignore SIGPIPE");
  state_->fd = fd;
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  set_patience(kPatience);
}

void Stream::set_patience(Milliseconds patience) {
  timeval limit{};
  limit.tv_sec = patience.count() / 1000;
  limit.tv_usec = (patience.count() % 1000) * 1000;
  ::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

int Stream::fd() const noexcept { return state_ ? state_->fd : -1; }

SSL* Stream::ssl() const noexcept { return state_ ? state_->ssl : nullptr; }

void Stream::start_client_tls(const ClientTls& tls) {
  state_->context = std::shared_ptr<SSL_CTX>(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX* context = state_->context.get();
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  if (tls.max_version != 0) SSL_CTX_set_max_proto_version(context, tls.max_version);
  // Old versions are offered too, so that it is the proxy that refuses them.
  SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
  SSL_CTX_set_cipher_list(context,
                          tls.cipher_list.empty() ? "ALL:@SECLEVEL=0" : tls.cipher_list.c_str());
  if (tls.certificate != nullptr) load_certificate(context, *tls.certificate);
  if (!tls.ca.empty()) {
    SSL_CTX_load_verify_locations(context, tls.ca.c_str(), nullptr);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  SSL* ssl = state_->ssl = SSL_new(context);
  SSL_set_fd(ssl, state_->fd);
  // SSL_set_tlsext_host_name() is this with a cast that the warnings object to.
  if (!tls.sni.empty()) {
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(tls.sni.c_str()));
  }
  if (!tls.ca.empty() && !tls.sni.empty()) SSL_set1_host(ssl, tls.sni.c_str());
  const std::string protocols = wire_form(tls.alpn);
  if (!protocols.empty()) {
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
  }
  if (tls.session) SSL_set_session(ssl, tls.session.get());
  ERR_clear_error();
  if (SSL_connect(ssl) != 1) throw TlsError("handshake: " + openssl_error());
}

std::shared_ptr<SSL_CTX> server_context(const ServerTls& tls) {
  auto* const protocol = new std::string(tls.alpn);
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), [protocol](SSL_CTX* made) {
    SSL_CTX_free(made);
    delete protocol;
  });
  SSL_CTX_set_app_data(context.get(), protocol);
  load_certificate(context.get(), tls.certificate);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>("t"), 1);
  if (!tls.client_ca.empty()) {
    SSL_CTX_load_verify_locations(context.get(), tls.client_ca.c_str(), nullptr);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

void Stream::start_server_tls(SSL_CTX* context) {
  SSL* ssl = state_->ssl = SSL_new(context);
  SSL_set_fd(ssl, state_->fd);
  ERR_clear_error();
  if (SSL_accept(ssl) != 1) throw TlsError("handshake: " + openssl_error());
}

// 0 when the kernel took nothing in time.
std::size_t Stream::write_once(std::string_view bytes) {
  if (!state_) throw Disconnected("the stream is closed");
  if (ssl() != nullptr) {
    ERR_clear_error();
    const int sent = SSL_write(ssl(), bytes.data(), static_cast<int>(bytes.size()));
    if (sent > 0) return static_cast<std::size_t>(sent);
    const int error = SSL_get_error(ssl(), sent);
    if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) return 0;
    throw Disconnected("send: " + openssl_error());
  }
  const ssize_t sent = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno == EAGAIN) return 0;
  throw Disconnected(std::string("send: ") + std::strerror(errno));
}

void Stream::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t sent = write_once(bytes);
    if (sent == 0) throw TimedOut("send: the other side takes nothing");
    bytes.remove_prefix(sent);
  }
}

std::size_t Stream::send_some(std::string_view bytes, Milliseconds patience) {
  set_patience(patience);
  const std::size_t sent = write_once(bytes);
  set_patience(kPatience);
  return sent;
}

std::string Stream::receive(std::size_t limit) {
  if (!state_) throw Disconnected("the stream is closed");
  std::string out(limit, '\0');
  if (ssl() != nullptr) {
    ERR_clear_error();
    const int got = SSL_read(ssl(), out.data(), static_cast<int>(limit));
    if (got > 0) return out.substr(0, static_cast<std::size_t>(got));
    const int error = SSL_get_error(ssl(), got);
    if (error == SSL_ERROR_ZERO_RETURN) return {};
    if (error == SSL_ERROR_WANT_READ) throw TimedOut("receive: nothing came");
    throw Disconnected("receive: " + openssl_error());
  }
  const ssize_t got = ::recv(fd(), out.data(), limit, 0);
  if (got >= 0) return out.substr(0, static_cast<std::size_t>(got));
  if (errno == EAGAIN) throw TimedOut("receive: nothing came");
  throw Disconnected(std::string("receive: ") + std::strerror(errno));
}

bool Stream::readable(Milliseconds patience) {
  if (ssl() != nullptr && SSL_pending(ssl()) > 0) return true;
  pollfd wanted{fd(), POLLIN, 0};
  return ::poll(&wanted, 1, static_cast<int>(patience.count())) > 0;
}

void Stream::update_keys() {
  if (SSL_key_update(ssl(), SSL_KEY_UPDATE_REQUESTED) != 1 || SSL_do_handshake(ssl()) != 1)
    throw TlsError("update of keys: " + openssl_error());
}

void Stream::half_close() {
  if (ssl() != nullptr) SSL_shutdown(ssl());
  ::shutdown(fd(), SHUT_WR);
}

void Stream::close() { state_.reset(); }

void Stream::reset() {
  const linger at_once{1, 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  state_.reset();
}

void Stream::interrupt() const noexcept { ::shutdown(fd(), SHUT_RDWR); }

std::uint16_t Stream::local_port() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd(), reinterpret_cast<sockaddr*>(&address), &size);
  // The port stands at the same place for both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

std::string Stream::tls_version() const { return ssl() != nullptr ? SSL_get_version(ssl()) : ""; }

std::string Stream::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  if (ssl() != nullptr) SSL_get0_alpn_selected(ssl(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string Stream::sni() const {
  const char* name =
      ssl() != nullptr ? SSL_get_servername(ssl(), TLSEXT_NAMETYPE_host_name) : nullptr;
  return name != nullptr ? name : "";
}

bool Stream::resumed() const { return ssl() != nullptr && SSL_session_reused(ssl()) == 1; }

TlsSession Stream::session() const { return {SSL_get1_session(ssl()), SSL_SESSION_free}; }

std::string Stream::peer_certificate() const {
  const std::unique_ptr<X509, Release> certificate(
      ssl() != nullptr ? SSL_get1_peer_certificate(ssl()) : nullptr);
  if (!certificate) return {};
  const std::unique_ptr<BIO, Release> bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

}  // namespace revproxyd::testing
