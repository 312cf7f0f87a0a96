#pragma once
// The PROXY protocol, versions 1 (a text line) and 2 (binary): how a load balancer in front tells
// whose connection it passes on. The section numbers are those of HAProxy's specification
// (doc/proxy-protocol.txt).

#include <cstddef>
#include <cstdint>

#include "revproxyd/base/buffer.h"
#include "revproxyd/base/bytes.h"
#include "revproxyd/base/result.h"
#include "revproxyd/base/task.h"
#include "revproxyd/net/address.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::net {

/// Longest line of version 1 with its CRLF (2.1).
inline constexpr std::size_t kProxyLineLimit = 107;
/// Longest header of version 2 that is taken. The format allows 64 KiB, but addresses and the usual
/// extensions fit here several times over.
inline constexpr std::size_t kProxyHeaderLimit = 4096;

struct ProxyHeader {
  std::size_t size = 0;  // bytes of the header; what follows is the client's
  /// True when source and destination are the client's. Otherwise the sender speaks for itself
  /// (LOCAL) or cannot say (UNKNOWN, UNSPEC, datagrams), and the addresses of the connection itself
  /// stand (2.1, 2.2).
  bool relayed = false;
  Address source;
  Address destination;
};

enum class ProxyStatus : std::uint8_t { complete, need_more, malformed };

struct ProxyParse {
  ProxyStatus status = ProxyStatus::need_more;
  ProxyHeader header;        // when complete
  const char* problem = "";  // when malformed: static text
};

/// Looks at the start of a connection. Malformed as soon as no continuation could be right;
/// extensions (TLVs) of version 2 are checked for their bounds and passed over. `bytes` may be
/// longer than the header; need_more is never said of kProxyHeaderLimit bytes or more.
ProxyParse parse_proxy_header(Bytes bytes) noexcept;

/// Waits for the header of a fresh connection and takes exactly its bytes off the socket.
/// `transport` must be the plain one. Errors: proxy_header_invalid, end_of_stream when the peer
/// left without a byte, and those of reading; the caller sets the read deadline.
Task<Result<ProxyHeader>> read_proxy_header(Transport& transport);

/// Append a header. Addresses that are not both IP (empty ones, for a connection of our own) give
/// UNKNOWN in version 1; in version 2 LOCAL when `source` is empty, otherwise UNSPEC. An IPv4
/// address next to an IPv6 one is written IPv4-mapped.
void write_proxy_v1(const Address& source, const Address& destination, Buffer& out);
void write_proxy_v2(const Address& source, const Address& destination, Buffer& out);

}  // namespace revproxyd::net
