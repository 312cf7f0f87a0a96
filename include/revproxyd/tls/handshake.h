#pragma once
// From a connected byte stream to a TLS transport.

#include <atomic>
#include <memory>
#include <string_view>

#include "revproxyd/base/units.h"
#include "revproxyd/net/transport.h"
#include "revproxyd/tls/context.h"

namespace revproxyd::tls {

/// Serves a handshake on `plain`, a socket of which nothing was read, which is used up either way.
/// Takes memory for it when the client's first record is whole. `context` must stay until the task
/// ends. The whole takes at most `limit` (none when zero). Errors: handshake_timeout, the reason of
/// the scope, tls_failed with OpenSSL's words, certificate_rejected when the client's certificate
/// is missing or not accepted, end_of_stream, reset, system. After an alert of ours the connection
/// lingers for up to limits::kLingerTime, so that it is not lost. `refused`, if not null, is looked
/// at before that memory is taken: while it is true there is no handshake, and the error is
/// memory_limit.
Task<Result<std::unique_ptr<net::Transport>>> accept(std::unique_ptr<net::Transport> plain,
                                                     const ServerContext& context, Duration limit,
                                                     const std::atomic<bool>* refused = nullptr);

/// Makes a handshake as the client. `server_name` is a host name or an IP literal without brackets:
/// it is what the certificate must name, and goes out as SNI if it is a host name (RFC 6066 section
/// 3). It and `context` must stay until the task ends. Errors as above; certificate_rejected when
/// the server's certificate is not accepted, tls_failed when the protocol it chose is none of ours.
/// `on_timeout` is the code when `limit` has been spent on waiting for the server, queue_timeout
/// when it has been spent behind other handshakes of the thread. `protocol`, if not empty, is
/// offered by ALPN in place of those of `context`.
Task<Result<std::unique_ptr<net::Transport>>> connect(std::unique_ptr<net::Transport> plain,
                                                      const ClientContext& context,
                                                      std::string_view server_name, Duration limit,
                                                      Code on_timeout = Code::handshake_timeout,
                                                      std::string_view protocol = {});

}  // namespace revproxyd::tls
