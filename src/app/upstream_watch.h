#pragma once
// Keeps what is known of servers up to date, on the supervisor's thread: their addresses and their
// health.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "app/known_addresses.h"
#include "revproxyd/base/task_group.h"
#include "revproxyd/net/resolver.h"
#include "revproxyd/proxy/plan.h"
#include "revproxyd/upstream/health_check.h"

namespace revproxyd::app {

class UpstreamWatch {
 public:
  UpstreamWatch();
  ~UpstreamWatch();
  UpstreamWatch(const UpstreamWatch&) = delete;
  UpstreamWatch& operator=(const UpstreamWatch&) = delete;

  /// What a predecessor knew: good until there is an answer, or a check, of our own. Before the
  /// first resolve().
  void inherit(KnownAddresses known, std::set<std::string> down) {
    inherited_ = std::move(known);
    inherited_down_ = std::move(down);
  }
  /// What names that were resolved stand for now.
  KnownAddresses known() const;
  /// The servers that checks call down, each with its upstream.
  std::vector<std::string> down() const;

  /// Resolves the servers of `upstreams` and no others. What was resolved before goes on
  /// undisturbed.
  void resolve(const std::vector<proxy::PlanUpstream>& upstreams);
  /// Checks the health of the same. Apart, because at the start the servers may be listeners of
  /// this process.
  void check(const std::vector<proxy::PlanUpstream>& upstreams);
  /// To be called now and then: what could not be begun for want of a thread is tried again.
  void retry() { resolver_.retry(); }
  /// Every name has been answered, rightly or not.
  bool all_resolved() const;
  /// Ends the checks; run the loop until stopped().
  void stop();
  bool stopped() const noexcept { return retiring_.size() == 0; }

 private:
  struct Name {
    std::shared_ptr<upstream::Endpoint> endpoint;
    net::Resolver::Subscription subscription;
  };
  struct Checked {
    std::shared_ptr<upstream::Shared> shared;
    std::unique_ptr<upstream::HealthChecks> checks;
  };
  void resolve_server(const std::shared_ptr<upstream::Endpoint>& endpoint);
  void retire(std::unique_ptr<upstream::HealthChecks> checks);

  KnownAddresses inherited_;
  std::set<std::string> inherited_down_;
  net::Resolver resolver_;
  std::map<const upstream::Endpoint*, Name> names_;
  std::map<std::string, Checked> checks_;
  TaskGroup retiring_;
};

}  // namespace revproxyd::app
