#pragma once
// Counts an exchange and writes its line in the access log.

#include <string_view>

#include "revproxyd/base/deadline.h"
#include "revproxyd/http/stream.h"
#include "revproxyd/pipeline/exchange.h"
#include "revproxyd/proxy/serve.h"

namespace revproxyd::proxy {

/// Counts the exchange as active while it lives, and lists it with its worker.
class RecordedExchange {
 public:
  RecordedExchange(pipeline::Exchange& exchange, Runtime& worker) noexcept;
  ~RecordedExchange();
  RecordedExchange(const RecordedExchange&) = delete;
  RecordedExchange& operator=(const RecordedExchange&) = delete;

  /// Its response is at hand: what a line in the access log will say of it is fetched into the
  /// caches while that is sent.
  void fetch_ahead() const;
  /// The exchange is over: `sent` says how the sending of `response` went.
  void finish(const http::Response& response, const Result<void>& sent,
              const http::ServerStream& stream) const;

 private:
  friend void end_removed_routes(Runtime& worker, Duration streams);
  bool logged() const noexcept;

  pipeline::Exchange& exchange_;
  Runtime& worker_;
  Deadline removed_;  // armed when the exchange's route has gone
  RecordedExchange* previous_ = nullptr;
  RecordedExchange* next_ = nullptr;
};

/// What cut the sending of an answer. The words that go with a server are not for a client that
/// resets.
Code word_for(const Error& error) noexcept;

/// A server that failed a request: a line in the log, with the reason that the client is not told.
void log_server_failure(std::string_view upstream, std::string_view server, const Error& why);

/// A connection that ended otherwise than orderly: counted, and logged where the client is to
/// blame.
void record_failure(const Connection& client, const Error& why, Runtime& worker);

}  // namespace revproxyd::proxy
