#include "tls/key_decoder.h"

#include <cstddef>

#include <openssl/decoder.h>

namespace revproxyd::tls {

namespace {

using DecoderPtr = std::unique_ptr<OSSL_DECODER_CTX, Release<OSSL_DECODER_CTX_free>>;

// Nobody is asked: encrypted keys are left to the caller.
int no_password(char* /*into*/, int /*size*/, int /*writing*/, void* /*unused*/) noexcept {
  return -1;
}

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

KeyPtr decode_key(const std::string& pem, const char* kind) {
  thread_local Decoder decoder;
  if (kind == nullptr || !decoder.be_for(kind)) return nullptr;
  const auto* data = reinterpret_cast<const unsigned char*>(pem.data());
  std::size_t size = pem.size();
  decoder.key = nullptr;
  const bool good = OSSL_DECODER_from_data(decoder.context.get(), &data, &size) == 1;
  KeyPtr key(decoder.key);
  decoder.key = nullptr;
  return good ? std::move(key) : nullptr;
}

}  // namespace revproxyd::tls
