#pragma once
// Plain connections on which a client may begin with HTTP/2 or with HTTP/1: its first bytes tell.

#include <memory>

#include "revproxyd/base/buffer.h"
#include "revproxyd/http/connection.h"

namespace revproxyd::http {

/// Decides by the preface of RFC 9113 section 3.4 and is from then on the connection that it chose.
class UndecidedConnection final : public ServerConnection {
 public:
  UndecidedConnection(std::unique_ptr<net::Transport> transport,
                      const ServerConnectionSettings& settings, CancelScope& scope) noexcept
      : transport_(std::move(transport)), settings_(settings), scope_(scope) {}

  Task<Next> next_stream() override {
    return chosen_ != nullptr ? chosen_->next_stream() : decide();
  }
  void drain() noexcept override;
  void retire() noexcept override;
  Task<void> finish() override;
  Resting rest() noexcept override { return chosen_->rest(); }
  net::Transport& transport() noexcept override {
    return chosen_ != nullptr ? chosen_->transport() : *transport_;
  }

 private:
  Task<Next> decide();

  std::unique_ptr<net::Transport> transport_;  // until it is decided
  ServerConnectionSettings settings_;
  CancelScope& scope_;
  std::unique_ptr<ServerConnection> chosen_;
  bool draining_ = false;
  bool retired_ = false;
};

}  // namespace revproxyd::http
