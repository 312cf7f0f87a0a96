#include "app/build.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "app/file_watch.h"
#include "app/sockets.h"

namespace revproxyd::app {

namespace {

// For ALPN, best first.
std::vector<std::string> protocol_names(bool http1, bool http2) {
  std::vector<std::string> names;
  if (http2) names.emplace_back("h2");
  if (http1) names.emplace_back("http/1.1");
  return names;
}

class Builder {
 public:
  Builder(const Settings& settings, const Built* previous,
          const std::shared_ptr<tls::TicketKeys>& tickets)
      : settings_(settings), previous_(previous), tickets_(tickets) {
    if (previous == nullptr) return;
    for (const auto& known : previous->upstreams)
      known_.emplace(known.shared->settings().name, &known);
  }

  Built run(std::uint64_t generation) {
    certificates();
    for (const auto& listener : settings_.listeners) add_listener(listener);
    for (const auto& upstream : settings_.upstreams) add_upstream(upstream);
    if (!built_.errors.empty()) return std::move(built_);
    try {
      built_.plan = std::make_shared<proxy::Plan>(plan_settings(generation), built_.upstreams);
    } catch (const std::invalid_argument& problem) {
      built_.errors.push_back({{}, problem.what()});
    }
    return std::move(built_);
  }

 private:
  void certificates() {
    for (const auto& entry : settings_.certificates) {
      watch(entry.cert);
      watch(entry.key);
    }
    const auto now = std::chrono::system_clock::now();
    const bool again = previous_ != nullptr && previous_->certificates != nullptr;
    auto loaded =
        again ? tls::CertificateStore::reload(settings_.certificates, *previous_->certificates, now)
              : tls::CertificateStore::load(settings_.certificates, now);
    append(built_.errors, loaded.errors);
    append(built_.warnings, loaded.kept);
    built_.kept = !loaded.kept.empty();
    append(built_.warnings, loaded.warnings);
    built_.certificates = std::move(loaded.store);
    const bool none = built_.certificates == nullptr || built_.certificates->first() == nullptr;
    lost_certificates_ = none && !built_.errors.empty();
  }

  void add_listener(const proxy::ListenerSettings& listener) {
    BuiltListener one;
    one.identity = listener_identity(listener);
    auto settings = std::make_shared<proxy::ListenerSettings>(listener);
    one.settings = settings;
    if (listener.tls) {
      watch(listener.tls->client_auth.ca);
      const BuiltListener* before = find_listener(one.identity);
      one.tls = server_context(listener, before);
      if (one.tls != nullptr && before != nullptr && before->tls != nullptr)
        settings->authorities =
            before->settings->authorities + (before->tls->judges_like(*one.tls) ? 0 : 1);
    }
    built_.listeners.push_back(std::move(one));
  }

  const BuiltListener* find_listener(const std::string& identity) const {
    if (previous_ == nullptr) return nullptr;
    const auto known = std::ranges::find(previous_->listeners, identity, &BuiltListener::identity);
    return known == previous_->listeners.end() ? nullptr : &*known;
  }

  std::shared_ptr<const tls::ServerContext> server_context(const proxy::ListenerSettings& listener,
                                                           const BuiltListener* before) {
    tls::ServerContext::Options options;
    options.settings = *listener.tls;
    options.certificates = built_.certificates;
    options.alpn = protocol_names(listener.http1, listener.http2);
    // Some clients that speak HTTP/1.0 offer nothing else.
    if (listener.http1) options.alpn.emplace_back("http/1.0");
    // Without ALPN a client speaks HTTP/1.1 (RFC 9113 section 3.2).
    options.alpn_required = !listener.http1;
    options.tickets = tickets_;
    auto made = tls::ServerContext::create(options);
    const bool told = lost_certificates_ && !listener.tls->internal &&
                      made.place.text != listener.tls->client_auth.ca_at.text;
    if (made || told) return made.context;
    const bool same = before != nullptr && before->tls != nullptr &&
                      before->settings->tls->client_auth == listener.tls->client_auth;
    if (same) {
      options.authorities = before->tls;
      if (auto kept = tls::ServerContext::create(std::move(options)); kept) {
        keep({made.place, "listener " + listener.name + ": " + made.error});
        return kept.context;
      }
    }
    built_.errors.push_back({made.place, "listener " + listener.name + ": " + made.error});
    return nullptr;
  }

  // A file that is bad now must not hold up the renewal of all others.
  void keep(config::Finding trouble) {
    trouble.text += " (what was read before stays in use)";
    built_.warnings.push_back(std::move(trouble));
    built_.kept = true;
  }

  void add_upstream(const upstream::UpstreamSettings& upstream) {
    const auto& tls = upstream.tls;
    const std::vector<std::string> files{tls.ca, tls.cert, tls.key};
    for (const auto& file : files) watch(file);
    const std::string signature = signature_of(files);
    const proxy::PlanUpstream* known = find_previous(upstream.name);
    const bool same = known != nullptr && known->shared->settings() == upstream;
    std::string& files_of = built_.upstream_files[upstream.name];
    files_of = signature;
    if (same && previous_->upstream_files.at(upstream.name) == signature) {
      built_.upstreams.push_back(*known);
      return;
    }
    proxy::PlanUpstream one;
    const bool secure = std::ranges::any_of(upstream.servers, [](const auto& server) {
      return server.url.scheme == net::Scheme::https;
    });
    if (secure) {
      auto made = client_context(upstream);
      const config::Finding trouble{made.place, "upstream " + upstream.name + ": " + made.error};
      if (!made && same && known->tls != nullptr) {
        keep(trouble);
        files_of = previous_->upstream_files.at(upstream.name);
        built_.upstreams.push_back(*known);
        return;
      }
      if (!made) built_.errors.push_back(trouble);
      one.tls = made.context;
    }
    one.shared = std::make_shared<upstream::Shared>(
        upstream, known == nullptr ? nullptr : known->shared.get());
    built_.upstreams.push_back(std::move(one));
  }

  static tls::Built<tls::ClientContext> client_context(const upstream::UpstreamSettings& upstream) {
    using upstream::Protocol;
    tls::ClientContext::Options options;
    options.settings = upstream.tls;
    options.alpn =
        protocol_names(upstream.protocol != Protocol::http2, upstream.protocol != Protocol::http1);
    options.alpn_required = upstream.protocol == Protocol::http2;
    return tls::ClientContext::create(options);
  }

  const proxy::PlanUpstream* find_previous(const std::string& name) const {
    const auto found = known_.find(name);
    return found == known_.end() ? nullptr : found->second;
  }

  proxy::PlanSettings plan_settings(std::uint64_t generation) const {
    proxy::PlanSettings plan;
    plan.listeners = settings_.listeners;
    plan.routes = settings_.routes;
    plan.trusted_proxies = settings_.trusted_proxies;
    plan.headers = settings_.headers;
    plan.forwarded = settings_.forwarded;
    plan.access_log = settings_.access_log.enabled;
    plan.access_json = settings_.access_log.format == AccessFormat::json;
    plan.mask =
        proxy::AccessMask(settings_.access_log.mask_query, settings_.access_log.mask_headers);
    plan.generation = generation;
    return plan;
  }

  /// Before the file is read: a change from then on is one.
  void watch(const std::string& file) {
    if (file.empty() || !watched_.insert(file).second) return;
    built_.watched.push_back(file);
    built_.watched_signature += signature_of({file});
  }

  static void append(std::vector<config::Finding>& to, const std::vector<config::Finding>& from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  const Settings& settings_;
  const Built* previous_;
  const std::shared_ptr<tls::TicketKeys>& tickets_;
  std::unordered_map<std::string_view, const proxy::PlanUpstream*> known_;  // of previous_
  std::unordered_set<std::string> watched_;
  Built built_;
  bool lost_certificates_ = false;  // there is none, which has been told
};

}  // namespace

Built build(const Settings& settings, const Built* previous,
            const std::shared_ptr<tls::TicketKeys>& tickets, std::uint64_t generation) {
  return Builder(settings, previous, tickets).run(generation);
}

}  // namespace revproxyd::app
