#pragma once
// What both sides of the proxy have in common: versions, ciphers, groups and the ways of OpenSSL.

#include <optional>
#include <string>
#include <vector>

#include "revproxyd/tls/settings.h"
#include "tls/openssl.h"

namespace revproxyd::tls {

/// False when OpenSSL refuses; the queue says why.
bool apply_policy(SSL_CTX* context, MinVersion min) noexcept;

/// The protocol names as RFC 7301 section 3.1 has them on the wire; nothing when a name is empty or
/// longer than 255.
std::optional<std::string> alpn_wire(const std::vector<std::string>& protocols);

/// Authorities as a file has them.
struct Authorities {
  std::string pem;
  StackPtr certificates;
};

/// Reads a file of one certificate or more. Empty, or why not.
std::string read_authorities(const std::string& path, Authorities& out);
/// Makes them trust anchors, intermediate ones too. Empty, or why not.
std::string trust(SSL_CTX* context, const Authorities& authorities);
/// What is in the context's store needs nothing above it.
void trust_anchors(SSL_CTX* context) noexcept;

}  // namespace revproxyd::tls
