#pragma once
// How the configuration writes TLS.

#include "revproxyd/config/type.h"
#include "revproxyd/tls/settings.h"

namespace revproxyd::tls {

config::Type<ListenerTls> listener_tls();
config::Type<Certificate> certificate();
config::Type<UpstreamTls> upstream_tls();
/// An exact host name or "*." and a name, in lower case.
config::Type<std::string> host_pattern();

}  // namespace revproxyd::tls
