#include "revproxyd/tls/random.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <exception>

#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace revproxyd::tls {

namespace {

// The generator takes about a microsecond a call, most of it whatever the size.
constexpr std::size_t kReserve = 4096;

struct Reserve {
  std::array<std::uint8_t, kReserve> bytes;
  std::size_t left = 0;
};

void generate(std::uint8_t* into, std::size_t size) noexcept {
  if (RAND_bytes(into, static_cast<int>(size)) != 1) std::terminate();
}

}  // namespace

void fill_random(std::span<std::uint8_t> into) noexcept {
  static thread_local Reserve reserve;
  if (into.size() > kReserve / 4) {
    generate(into.data(), into.size());
    return;
  }
  if (reserve.left < into.size()) {
    generate(reserve.bytes.data(), kReserve);
    reserve.left = kReserve;
  }
  reserve.left -= into.size();
  std::uint8_t* const from = reserve.bytes.data() + reserve.left;
  if (!into.empty()) std::memcpy(into.data(), from, into.size());
  OPENSSL_cleanse(from, into.size());  // what was handed out is not kept
}

}  // namespace revproxyd::tls
