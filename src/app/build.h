#pragma once
// From settings to what serves: everything that can fail is tried here, before anything that runs
// is touched.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "revproxyd/app/settings.h"
#include "revproxyd/config/place.h"
#include "revproxyd/proxy/plan.h"
#include "revproxyd/tls/certificates.h"
#include "revproxyd/tls/context.h"
#include "revproxyd/tls/ticket_keys.h"
#include "revproxyd/upstream/shared.h"

namespace revproxyd::app {

/// A listener of a configuration with what it needs to accept.
struct BuiltListener {
  std::string identity;  // see listener_identity()
  std::shared_ptr<const proxy::ListenerSettings> settings;
  std::shared_ptr<const tls::ServerContext> tls;  // null for plain text
};

/// One compiled configuration.
struct Built {
  std::shared_ptr<const proxy::Plan> plan;
  std::vector<BuiltListener> listeners;
  std::vector<proxy::PlanUpstream> upstreams;
  std::map<std::string, std::string> upstream_files;  // by upstream: what its TLS files were like
  std::shared_ptr<const tls::CertificateStore> certificates;
  std::vector<config::Finding> errors;  // not empty: nothing else is of use
  std::vector<config::Finding> warnings;
  std::vector<std::string> watched;  // certificate, key and CA files
  std::string watched_signature;     // of these, before they were read
  bool kept = false;  // certificates of before are served, for their files are bad now
};

/// Compiles `settings`. From `previous` (may be null) it takes over the shared part of upstreams
/// whose settings and files stayed, endpoints by identity, and certificates whose files are bad
/// now.
Built build(const Settings& settings, const Built* previous,
            const std::shared_ptr<tls::TicketKeys>& tickets, std::uint64_t generation);

}  // namespace revproxyd::app
