// Bytes of a peer that claims to be a load balancer: any prefix may be looked at, and the verdict
// must not depend on how they were split.

#include "revproxyd/net/proxy_protocol.h"

#include <cstdint>
#include <cstdlib>

namespace {

void check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace revproxyd;
  using net::ProxyStatus;
  const Bytes input(reinterpret_cast<const char*>(data), size);
  const net::ProxyParse whole = net::parse_proxy_header(input);
  if (whole.status == ProxyStatus::need_more) check(size < net::kProxyHeaderLimit);
  for (std::size_t length = 0; length < size && length < 300; ++length) {
    const net::ProxyParse part = net::parse_proxy_header(input.substr(0, length));
    if (part.status == ProxyStatus::need_more) continue;
    check(part.status == whole.status && part.header.size == whole.header.size);
  }
  if (whole.status != ProxyStatus::complete) return 0;
  check(whole.header.size <= size && whole.header.size <= net::kProxyHeaderLimit);
  if (!whole.header.relayed || !whole.header.source.is_ip()) return 0;
  for (const auto write : {net::write_proxy_v1, net::write_proxy_v2}) {
    Buffer out;
    write(whole.header.source, whole.header.destination, out);
    const net::ProxyParse again = net::parse_proxy_header(out.held());
    check(again.status == ProxyStatus::complete && again.header.size == out.size() &&
          again.header.relayed);
    check(again.header.source.bytes() == whole.header.source.bytes());
    check(again.header.destination.port() == whole.header.destination.port());
  }
  return 0;
}
