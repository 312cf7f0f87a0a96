#pragma once
// How the configuration writes upstreams.

#include "revproxyd/config/type.h"
#include "revproxyd/upstream/settings.h"

namespace revproxyd::upstream {

/// The value of a key of `upstreams`; the name is the key and not part of it.
config::Type<UpstreamSettings> upstream_settings();
/// `keep`, `upstream` or a host with an optional port.
config::Type<HostHeaderSettings> host_header();

}  // namespace revproxyd::upstream
