#include "tls/digest.h"

#include <openssl/sha.h>

namespace revproxyd::tls {

std::array<std::uint8_t, 32> sha256(Bytes bytes) noexcept {
  std::array<std::uint8_t, 32> out;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         out.data());  // NOLINT: bytes are bytes
  return out;
}

}  // namespace revproxyd::tls
