#pragma once
// The life of a connection and of a request; read src/proxy/serve.cpp first.

#include <atomic>
#include <memory>

#include "revproxyd/base/log_writer.h"
#include "revproxyd/base/metrics.h"
#include "revproxyd/base/task.h"
#include "revproxyd/http/connection.h"
#include "revproxyd/pipeline/client.h"
#include "revproxyd/proxy/snapshot.h"

namespace revproxyd::proxy {

class ConnectionList;
class RecordedExchange;

/// A client with the settings of the listener that accepted it, which may be gone from the current
/// plan.
struct Connection : pipeline::Client {
  std::shared_ptr<const ListenerSettings> settings;
  // Looked up once a plan, when the first exchange under it begins; see src/proxy/standing.h.
  std::uint64_t generation = 0;    // of that plan; 0 = none yet
  bool trusted = false;            // its peer, there
  std::size_t listener_index = 0;  // its listener there; beyond the last one: gone
};

/// What serving needs of the worker that it runs on.
struct Runtime {
  SnapshotPtr snapshot;  // the current one
  metrics::WorkerCounts* counts = nullptr;
  LogBatch* access_log = nullptr;               // null when there is none
  const std::atomic<bool>* shedding = nullptr;  // memory is short: new work is refused
  ConnectionList* connections = nullptr;
  RecordedExchange* exchanges = nullptr;  // head of the list of those under way
  bool draining = false;
};

/// The connections of a worker, so that it can ask them to end.
class ConnectionList {
 public:
  class Entry {
   public:
    Entry(ConnectionList& list, http::ServerConnection& connection,
          const Connection& client) noexcept;
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    friend class ConnectionList;
    class RecordedExchange;
    ConnectionList& list_;
    http::ServerConnection& connection_;
    const Connection& client_;
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
  };
  void drain_all() noexcept;
  /// Those that were accepted under settings which are in force no more.
  template <class IsOutdated>
  void retire_if(const IsOutdated& outdated) {
    for (Entry* entry = head_; entry != nullptr; entry = entry->next_) {
      if (outdated(*entry->client_.settings)) entry->connection_.retire();
    }
  }
  std::size_t size() const noexcept { return size_; }

 private:
  Entry* head_ = nullptr;
  std::size_t size_ = 0;
};

/// A new plan is in force: exchanges of routes that it does not have any more may go on for
/// `streams` (zero: for ever) from when their route went.
void end_removed_routes(Runtime& worker, Duration streams);

/// Serves exchanges until the connection ends (false) or pauses (true): then it may rest.
/// `connection` and `client` must stay until then.
Task<bool> serve_connection(http::ServerConnection& connection, Connection& client,
                            Runtime& worker);

/// Serves one exchange, from its head to its line in the log.
Task<void> serve_exchange(std::unique_ptr<http::ServerStream> stream, Connection& client,
                          SnapshotPtr snapshot, Runtime& worker);

}  // namespace revproxyd::proxy
