#include "tls/tls_transport.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "revproxyd/base/limits.h"
#include "tls/client_certificate.h"

namespace revproxyd::tls {

using net::IoResult;
using net::IoStatus;

namespace {

// The plaintext of a full record (RFC 8446 section 5.1).
constexpr std::size_t kRecord = 16 * 1024;

std::size_t total_of(std::span<const iovec> pieces) noexcept {
  std::size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  return total;
}

// The pieces as one stream of bytes that is consumed in records.
class Source {
 public:
  explicit Source(std::span<const iovec> pieces) noexcept : pieces_(pieces) { skip_empty(); }

  bool empty() const noexcept { return pieces_.empty(); }

  // The next `size` bytes, or with 0 a record's worth. A view into the pieces where one piece has
  // them all, else copied together, because every record costs a header, a tag and a call to the
  // kernel.
  Bytes next(std::size_t size) noexcept {
    const Bytes front = rest_of_front();
    if (size != 0 && front.size() >= size) return front.substr(0, size);
    if (size == 0 && (front.size() >= kRecord || pieces_.size() == 1))
      return front.substr(0, kRecord);
    return gather(size != 0 ? size : kRecord);
  }

  void consume(std::size_t bytes) noexcept {
    while (!pieces_.empty() && bytes >= rest_of_front().size()) {
      bytes -= rest_of_front().size();
      pieces_ = pieces_.subspan(1);
      used_ = 0;
    }
    used_ += bytes;
  }

 private:
  Bytes rest_of_front() const noexcept {
    const iovec& piece = pieces_.front();
    return Bytes(static_cast<const char*>(piece.iov_base), piece.iov_len).substr(used_);
  }

  void skip_empty() noexcept {
    while (!pieces_.empty() && pieces_.front().iov_len == 0) pieces_ = pieces_.subspan(1);
  }

  Bytes gather(std::size_t size) const noexcept {
    static thread_local std::array<char, kRecord> scratch;
    std::size_t filled = 0;
    std::size_t skip = used_;
    for (const iovec& piece : pieces_) {
      const std::size_t part = std::min(piece.iov_len - skip, size - filled);
      if (part != 0)
        std::memcpy(scratch.data() + filled, static_cast<const char*>(piece.iov_base) + skip, part);
      filled += part;
      skip = 0;
      if (filled == size) break;
    }
    return Bytes(scratch.data(), filled);
  }

  std::span<const iovec> pieces_;
  std::size_t used_ = 0;  // of the front piece
};

}  // namespace

TlsTransport::TlsTransport(SslPtr ssl, std::unique_ptr<net::Transport> plain,
                           std::shared_ptr<const void> context) noexcept
    : plain_(std::move(plain)),
      context_(std::move(context)),
      bio_state_(*plain_),
      ssl_(std::move(ssl)) {}

TlsTransport::~TlsTransport() {
  // OpenSSL takes a session for spoilt when its connection goes without close_notify, but only a
  // failure of the protocol spoils it (RFC 8446 section 6.1), and kept connections are rarely
  // closed by the book.
  if (!alerted()) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

bool TlsTransport::attach() noexcept {
  BioPtr bio = make_transport_bio(bio_state_);
  if (!bio || SSL_set_app_data(ssl_.get(), this) != 1) return false;
  BIO* const raw = bio.release();
  SSL_set_bio(ssl_.get(), raw, raw);
  SSL_set_info_callback(ssl_.get(), note);
  return true;
}

// Key updates, tickets, alerts, handshakes that are asked for again and refused.
void TlsTransport::note(const SSL* ssl, int where, int /*value*/) noexcept {
  if ((where & (SSL_CB_LOOP | SSL_CB_ALERT)) != 0) of(ssl).note_step();
}

// OpenSSL serves them within the call that asks for data, one after the other for as long as there
// are any, so that who sends nothing else would hold the thread.
void TlsTransport::note_step() noexcept {
  if (!settled_) return;
  overdone_ = ++steps_ > limits::kTlsSteps + received_ / limits::kTlsStepBytes;
  // Ends the call at the next record.
  if (overdone_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

TlsTransport& TlsTransport::of(const SSL* ssl) noexcept {
  return *static_cast<TlsTransport*>(SSL_get_app_data(ssl));
}

IoResult TlsTransport::try_handshake() noexcept {
  clear_errors();
  const int returned = SSL_do_handshake(ssl_.get());
  if (returned != 1) return outcome(returned);
  clear_errors();
  settle();
  return IoResult::moved(0);
}

IoResult TlsTransport::try_read(MutableBytes into) noexcept {
  if (held_.status != IoStatus::done) return held_;
  if (into.empty()) return IoResult::moved(0);
  std::size_t filled = 0;
  while (filled < into.size()) {
    const IoResult result = read_record(into.subspan(filled));
    if (result.status != IoStatus::done) {
      if (filled == 0) return result;
      if (result.status == IoStatus::end || result.status == IoStatus::failed) held_ = result;
      break;
    }
    filled += result.bytes;
    if (exhausted()) break;
  }
  return IoResult::moved(filled);
}

// Neither OpenSSL nor the socket holds anything more: asking again, which is most of what a small
// read costs, can be spared.
bool TlsTransport::exhausted() noexcept {
  const net::Readiness& below = plain_->readiness();
  if (below.readable || below.hangup || SSL_has_pending(ssl_.get()) == 1) return false;
  more_ = false;
  return true;
}

IoResult TlsTransport::read_record(MutableBytes into) noexcept {
  clear_errors();
  std::size_t got = 0;
  if (SSL_read_ex(ssl_.get(), into.data(), into.size(), &got) == 1) {
    more_ = true;
    received_ += got;
    return IoResult::moved(got);
  }
  const IoResult result = outcome(0);
  more_ = false;
  return result;
}

bool TlsTransport::pending() const noexcept {
  if (held_.status != IoStatus::done) return true;
  // A record of which only a part has come is held too, but the rest of it will be announced.
  return SSL_pending(ssl_.get()) > 0 || (more_ && SSL_has_pending(ssl_.get()) == 1);
}

IoResult TlsTransport::try_write(std::span<const iovec> pieces) noexcept {
  if (broken_) return IoResult::failure(failure_);
  if (promised_ != 0 && total_of(pieces) < promised_) {
    return broken(Error(Code::internal, "a TLS write was repeated with fewer bytes"));
  }
  Source source(pieces);
  std::size_t moved = 0;
  while (!source.empty()) {
    const IoResult result = write_record(source.next(promised_));
    if (result.status != IoStatus::done) {
      // What went out before counts, the more so when the rest never will: a request of which the
      // server has a part is not to be sent again. The next call meets the same obstacle.
      return moved != 0 ? IoResult::moved(moved) : result;
    }
    source.consume(result.bytes);
    moved += result.bytes;
  }
  return IoResult::moved(moved);
}

IoResult TlsTransport::write_record(Bytes bytes) noexcept {
  clear_errors();
  std::size_t written = 0;
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) == 1) {
    promised_ = 0;
    return IoResult::moved(written);
  }
  promised_ = bytes.size();
  return outcome(0);
}

IoResult TlsTransport::try_shutdown() noexcept {
  if (broken_ || notified_ || promised_ != 0) return plain_->try_shutdown();
  clear_errors();
  const int returned = SSL_shutdown(ssl_.get());
  if (returned < 0 && SSL_get_error(ssl_.get(), returned) == SSL_ERROR_WANT_WRITE) {
    return IoResult::wants(net::Want::write);
  }
  notified_ = true;
  clear_errors();
  return plain_->try_shutdown();
}

IoResult TlsTransport::outcome(int returned) noexcept {
  if (overdone_) return broken(Error(Code::tls_failed, "too many TLS messages beside the data"));
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_WANT_READ: return IoResult::wants(net::Want::read);
    case SSL_ERROR_WANT_WRITE: return IoResult::wants(net::Want::write);
    case SSL_ERROR_ZERO_RETURN: return IoResult::ended();
    default: break;
  }
  // OpenSSL has tried to send an alert since, which may have failed.
  if (bio_state_.ended && !settled_) return IoResult::ended();
  if (bio_state_.failure.code() != Code::none) return broken(bio_state_.failure);
  if (bio_state_.ended) return broken(Error(Code::reset, "the peer closed without close_notify"));
  const Error error = take_error(ssl_.get());
  if (negotiation_.refusal != nullptr) return broken(Error(error.code(), negotiation_.refusal));
  return broken(error);
}

IoResult TlsTransport::broken(Error error) noexcept {
  ERR_clear_error();
  broken_ = true;
  failure_ = error;
  return IoResult::failure(error);
}

void TlsTransport::settle() noexcept {
  settled_ = true;
  SSL* const ssl = ssl_.get();
  info_.version = SSL_get_version(ssl);
  info_.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
  const unsigned char* alpn = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &size);
  if (size != 0) info_.alpn.assign(alpn, alpn + size);
  info_.resumed = SSL_session_reused(ssl) == 1;
  info_.client_certificate = SSL_is_server(ssl) == 1 && SSL_get0_peer_certificate(ssl) != nullptr &&
                             SSL_get_verify_result(ssl) == X509_V_OK;
  if (info_.client_certificate) info_.passed_on = client_cert_fields(ssl);
  info_.server_name = std::move(negotiation_.server_name);
  info_.group = negotiation_.group;
  if (info_.group != nullptr && !info_.resumed) info_.presented = info_.group->presented(ssl);
  info_.named = negotiation_.named;
  info_.queued = negotiation_.queued;
}

bool TlsTransport::Info::covers(std::string_view host) const noexcept {
  // A certificate is found by a name only if it covers it, and nearly every request asks for the
  // name of its connection.
  if (named && host == server_name) return true;
  if (presented != nullptr) return presented->covers(host);
  return group != nullptr && group->covers(host);
}

}  // namespace revproxyd::tls
