#pragma once
// Which of two families is called first.

#include "revproxyd/net/address.h"

namespace revproxyd::net {

/// Whether `v4` is a better place to go to than `v6`, by the rules of RFC 6724 section 6 that can
/// tell one family from the other. Asks the kernel for a way to both, and sends nothing.
bool is_preferred(const Address& v4, const Address& v6);

}  // namespace revproxyd::net
