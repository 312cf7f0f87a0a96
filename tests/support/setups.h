#pragma once
// The configurations and set-ups that most tests share.

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/daemon.h"
#include "tests/support/origin.h"
#include "tests/support/raw_client.h"

namespace revproxyd::testing {

/// A plain listener `web` on a port of the kernel's choice.
inline constexpr std::string_view kPlainListener =
    "listeners: [ { name: web, address: '127.0.0.1:0' } ]\n";

/// That listener, and a route `all` to the server; `more` is appended.
std::string forward_to(const std::string& url, std::string_view more = {});

/// That listener, and a route `all` to the upstream `app` of these servers; `settings` are further
/// lines of the upstream, in flow style: "retry: { attempts: 3 }, balance: first".
std::string balance_over(const std::vector<std::string>& urls, std::string_view settings = {},
                         std::string_view more = {});

/// An origin and the daemon in front of it.
struct Proxy {
  explicit Proxy(std::string_view more = {});
  explicit Proxy(OriginScript script, std::string_view more = {});

  RawClient connect() const { return RawClient(daemon.port()); }
  Response get(std::string_view target = "/", std::string_view fields = {}) const {
    return fetch(daemon.port(), target, fields);
  }

  Origin origin;
  Daemon daemon;
};

/// Reads and ignores the body, answers 200 with `ok`.
void answer_ok(OriginExchange& exchange);

/// Waits until `ctl stats` has that number for the counter.
bool comes_to(const Daemon& daemon, const std::string& counter, std::size_t count);

/// Answers "ok", for /slow when `release` is open.
OriginScript answer_slow_when(Gate& release);

}  // namespace revproxyd::testing
