// READ FIRST: the life of a request. A connection yields streams; each stream is one exchange:
// admitted, routed, handled by its route's chain, answered, recorded. Nothing here knows which
// version of HTTP is spoken.

#include "revproxyd/proxy/serve.h"

#include "proxy/admit.h"
#include "proxy/forwarding_fields.h"
#include "proxy/record.h"
#include "proxy/send_response.h"
#include "proxy/standing.h"
#include "proxy/upstream_request.h"
#include "revproxyd/base/task_group.h"

namespace revproxyd::proxy {

namespace {

Task<http::Response> answer(pipeline::Exchange& exchange, const Connection& client,
                            const Runtime& worker) {
  const Plan& plan = exchange.snapshot().plan();
  trust_client(exchange, plan.settings().trusted_proxies);
  if (plan.routes_by_claims()) drop_claims(exchange);
  if (auto admitted = admit(exchange, worker); !admitted) {
    exchange.refuse(admitted.error());
    return plan.unrouted().handle(exchange);
  }
  if (exchange.standing().redirect_https) return plan.https_redirect().handle(exchange);
  const MatchInput input{exchange.head(), exchange.address(), exchange.scheme(),
                         exchange.standing().listener};
  const auto match = plan.router().match(input);
  if (!match) {
    exchange.refuse(Error(Code::no_route, "no route takes this host and path"));
    return plan.unrouted().handle(exchange);
  }
  const Route& route = plan.route(*match);
  exchange.route = &route;
  if (auto admitted = admit_to_route(exchange, *route.settings, *client.settings); !admitted) {
    exchange.refuse(admitted.error());
    return route.refusing->handle(exchange);
  }
  if (exchange.scope().cancelled()) {
    exchange.refuse(Error(exchange.scope().reason(), "ended before it was handled"));
    return route.refusing->handle(exchange);
  }
  set_forwarding_fields(exchange, plan.settings().forwarded);
  return route.chain->handle(exchange);
}

}  // namespace

Task<void> serve_exchange(std::unique_ptr<http::ServerStream> stream, Connection& client,
                          SnapshotPtr snapshot, Runtime& worker) {
  pipeline::Exchange exchange(*stream, client, *snapshot);
  exchange.set_standing(standing_under(snapshot->plan().settings(), client));
  RecordedExchange recorded(exchange, worker);
  auto answering = answer(exchange, client, worker);
  auto scoped = std::move(answering).under(exchange.scope());
  auto response = co_await std::move(scoped);
  if (leaves_upgrade_out(exchange, response)) {
    exchange.refuse(Error(Code::upgrade_refused, Side::upstream, "answered without upgrading"));
    auto refused = co_await exchange.route->refusing->handle(exchange);
    response = std::move(refused);
  }
  recorded.fetch_ahead();
  auto sending = send_response(*stream, response, exchange);
  auto scoped_sending = std::move(sending).under(exchange.scope());
  auto sent = co_await std::move(scoped_sending);
  if (!sent) stream->reset(word_for(sent.error()));
  co_await exchange.finish();
  recorded.finish(response, sent, *stream);
}

Task<bool> serve_connection(http::ServerConnection& connection, Connection& client,
                            Runtime& worker) {
  CancelScope* scope = co_await current_scope();
  TaskGroup exchanges(scope);
  const ConnectionList::Entry listed(*worker.connections, connection, client);
  if (worker.draining) connection.drain();
  bool rests = false;
  for (;;) {
    auto next = co_await connection.next_stream();
    if (!next.has_stream()) {
      if (next.failed()) record_failure(client, next.error(), worker);
      rests = next.rests();
      break;
    }
    exchanges.spawn(serve_exchange(next.take(), client, worker.snapshot, worker));
  }
  co_await exchanges.join();
  if (!rests) co_await connection.finish();
  co_return rests;
}

ConnectionList::Entry::Entry(ConnectionList& list, http::ServerConnection& connection,
                             const Connection& client) noexcept
    : list_(list), connection_(connection), client_(client), next_(list.head_) {
  if (next_ != nullptr) next_->previous_ = this;
  list.head_ = this;
  ++list.size_;
}

ConnectionList::Entry::~Entry() {
  (previous_ != nullptr ? previous_->next_ : list_.head_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  --list_.size_;
}

void ConnectionList::drain_all() noexcept {
  for (Entry* entry = head_; entry != nullptr; entry = entry->next_) entry->connection_.drain();
}

}  // namespace revproxyd::proxy
