#include "tls/key_decoder.h"

#include <cstddef>
#include <utility>

#include <openssl/decoder.h>

namespace revproxyd::tls {

namespace {

using DecoderPtr = std::unique_ptr<OSSL_DECODER_CTX, Release<OSSL_DECODER_CTX_free>>;

/// The decoders write where they were told to when they were made.
struct Decoder {
  std::string kind;
  EVP_PKEY* key = nullptr;
  DecoderPtr context;

  bool be_for(const char* wanted) {
    if (context != nullptr && kind == wanted) return true;
    kind = wanted;
    context.reset(OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", nullptr, wanted, EVP_PKEY_KEYPAIR,
                                                nullptr, nullptr));
    return context != nullptr &&
           OSSL_DECODER_CTX_set_pem_password_cb(context.get(), no_password, nullptr) == 1;
  }
};

}  // namespace

int no_password(char* /*into*/, int /*size*/, int /*writing*/, void* asked) noexcept {
  if (asked != nullptr) *static_cast<bool*>(asked) = true;
  return -1;
}

KeyPtr decode_key(const std::string& pem, const char* kind) {
  thread_local Decoder decoder;
  if (kind == nullptr || !decoder.be_for(kind)) return nullptr;
  const auto* data = reinterpret_cast<const unsigned char*>(pem.data());
  std::size_t size = pem.size();
  const bool good = OSSL_DECODER_from_data(decoder.context.get(), &data, &size) == 1;
  KeyPtr key(std::exchange(decoder.key, nullptr));
  return good ? std::move(key) : nullptr;
}

}  // namespace revproxyd::tls
