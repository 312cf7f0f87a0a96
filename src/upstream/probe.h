#pragma once
// One question of an active check.

#include <string>

#include "revproxyd/base/error.h"
#include "revproxyd/base/task.h"
#include "revproxyd/tls/context.h"
#include "revproxyd/upstream/endpoint.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::upstream {

struct ProbeResult {
  ProbeResult(bool is_well, std::string why) noexcept : well(is_well), reason(std::move(why)) {}
  bool well;
  // False: the system did not let us, or the handshake waited behind others for too long. That says
  // nothing about the server.
  bool asked = true;
  std::string reason;  // of a failure
};

/// A failure in the words of ProbeResult::reason.
std::string text_of(const Error& error);
/// Host, or :authority, of a probe.
std::string probe_authority(const net::ServerUrl& url, const HealthSettings& settings);

/// Asks `endpoint` as `settings` say, within settings.timeout but for what the handshake waits
/// behind others, which may be as long. `tls` is used for an https URL;
/// `server_name` is the name to verify.
Task<ProbeResult> probe(const Endpoint& endpoint, const UpstreamSettings& upstream,
                        const tls::ClientContext* tls);

}  // namespace revproxyd::upstream
