#pragma once
// How the configuration writes listeners and routes.

#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/config/type.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::proxy {

config::Type<Timeouts> timeouts();
config::Type<GlobalLimits> global_limits();
/// Time-outs and limits keep what the struct holds before, so put the global ones there. `name`
/// stays empty if not given.
config::Type<ListenerSettings> listener_settings();

/// A route as the file says it: `name` may be empty, `headers` are its own, each target's
/// `upstream` is a name or the text of an anonymous upstream (anonymous_urls()).
config::Type<RouteSettings> route_settings();

/// True for the text that `to: URL` and `to: [URL, ...]` put into SplitTarget::upstream.
bool is_anonymous(std::string_view upstream) noexcept;
/// The URLs in such a text.
std::vector<std::string> anonymous_urls(std::string_view upstream);

/// The conditions in one canonical text: equal for two routes that fit the same requests for the
/// same reasons.
std::string canonical(const MatchSettings& match);

}  // namespace revproxyd::proxy
