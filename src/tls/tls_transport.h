#pragma once
// TLS over another transport. Records are read ahead, one receive call for what the kernel holds;
// the record buffers are given back while the connection is idle.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "revproxyd/net/transport.h"
#include "tls/credential.h"
#include "tls/openssl.h"
#include "tls/transport_bio.h"

namespace revproxyd::tls {

class TlsTransport final : public net::Transport {
 public:
  /// What the callbacks of OpenSSL find and leave behind while the handshake runs.
  struct Negotiation {
    const CredentialGroup* group =
        nullptr;                    // server: what is presented; lives as long as the context
    bool named = false;             // server: the group was found by the name in SNI
    const char* refusal = nullptr;  // why a callback of ours ended the handshake; static text
    std::string server_name;        // SNI received, or the name to verify
    std::string session_key;        // client: what sessions are kept under
    Duration queued{0};             // client: what steps have waited behind other handshakes
  };

  /// `context` is what the callbacks refer to; kept alive until the connection is gone.
  TlsTransport(SslPtr ssl, std::unique_ptr<net::Transport> plain,
               std::shared_ptr<const void> context) noexcept;
  ~TlsTransport() override;

  /// Binds the SSL to this object; false when memory ran out. Call once, before the handshake.
  bool attach() noexcept;
  static TlsTransport& of(const SSL* ssl) noexcept;
  Negotiation& negotiation() noexcept { return negotiation_; }
  SSL* ssl() noexcept { return ssl_.get(); }

  /// One step of the handshake; with `done` tls() tells what was settled.
  net::IoResult try_handshake() noexcept;
  /// The handshake failed on our side, so the peer was sent an alert and the connection below still
  /// stands.
  bool alerted() const noexcept {
    return broken_ && bio_state_.failure.code() == Code::none && !bio_state_.ended;
  }
  net::Transport& plain() noexcept { return *plain_; }

  /// Fills `into` from as many records as are at hand.
  net::IoResult try_read(MutableBytes into) noexcept override;
  /// Costs no decryption, and nothing that a record asks of us can fail behind our close_notify.
  net::IoResult try_discard(MutableBytes waste) noexcept override {
    return plain_->try_discard(waste);
  }
  /// Small pieces share a record. After want_write the same bytes must be offered again, at least
  /// as many: a record of them has been sealed and part of it may be on the wire. Fewer is
  /// Code::internal.
  net::IoResult try_write(std::span<const iovec> pieces) noexcept override;
  /// Does not wait for the peer's close_notify. After a write that was given up it only
  /// half-closes: the stream is cut, and the peer must see that.
  net::IoResult try_shutdown() noexcept override;
  void abort_on_close() noexcept override { plain_->abort_on_close(); }
  bool pending() const noexcept override;
  // Two records: one that is being read, one behind it.
  std::size_t most_held() const noexcept override { return 2 * kMostRecord; }
  net::Readiness& readiness() noexcept override { return plain_->readiness(); }
  int fd() const noexcept override { return plain_->fd(); }
  const net::TlsInfo* tls() const noexcept override { return &info_; }

 private:
  static constexpr std::size_t kMostRecord = 17 * 1024;

  struct Info final : net::TlsInfo {
    bool covers(std::string_view host) const noexcept override;
    const CredentialGroup* group = nullptr;
    const Credential* presented = nullptr;  // of the group; null where a session was resumed
    bool named = false;
  };

  static void note(const SSL* ssl, int where, int value) noexcept;
  void note_step() noexcept;
  bool exhausted() noexcept;
  net::IoResult read_record(MutableBytes into) noexcept;
  net::IoResult write_record(Bytes bytes) noexcept;
  net::IoResult outcome(int returned) noexcept;
  net::IoResult broken(Error error) noexcept;
  void settle() noexcept;

  std::unique_ptr<net::Transport> plain_;
  std::shared_ptr<const void> context_;
  BioState bio_state_;
  SslPtr ssl_;
  Negotiation negotiation_;
  Info info_;
  net::IoResult held_;          // an end or failure met after bytes that were delivered first
  std::size_t promised_ = 0;    // size of the write that OpenSSL wants repeated
  std::uint64_t received_ = 0;  // bytes of the application
  std::uint64_t steps_ = 0;     // of OpenSSL's own, since the handshake was done
  bool settled_ = false;        // the handshake is done
  bool overdone_ = false;       // the peer has caused too many of those steps
  bool more_ = true;            // OpenSSL may hold input: its last read did not run dry
  bool broken_ = false;         // no call on the SSL makes sense any more
  Error failure_{Code::none};   // what broke it
  bool notified_ = false;       // close_notify is out
};

}  // namespace revproxyd::tls
