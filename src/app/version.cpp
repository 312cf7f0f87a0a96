#include "app/version.h"

#include <nghttp2/nghttp2.h>

#include "revproxyd/base/log.h"
#include "revproxyd/net/loop.h"
#include "revproxyd/net/resolver.h"
#include "revproxyd/tls/version.h"

namespace revproxyd::app {

std::string version_text() {
  std::string text = "revproxyd " REVPROXYD_VERSION "\n";
  text += "tls: " + std::string(tls::library_version()) + "\n";
  text += "asio: " + net::loop_library_version() + "\n";
  text += std::string("nghttp2: ") + nghttp2_version(0)->version_str + "\n";
  text += "c-ares: " + std::string(net::resolver_library_version()) + "\n";
  text += "yaml-cpp: " REVPROXYD_YAML_CPP "\n";
  text += "spdlog: " + std::string(log::library_version()) + "\n";
  return text;
}

}  // namespace revproxyd::app
