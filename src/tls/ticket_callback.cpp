// Sealing and opening session tickets (RFC 5077 section 4) with the keys of the process.

#include <algorithm>
#include <array>
#include <string>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "revproxyd/tls/random.h"
#include "tls/server_context.h"

namespace revproxyd::tls {

namespace {

constexpr std::size_t kIvSize = 16;  // of AES in CBC mode

bool set_mac(EVP_MAC_CTX* mac, TicketKeys::Key& key) noexcept {
  std::array<char, 7> digest{"SHA256"};
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

int seal(TicketKeys& keys, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
         EVP_MAC_CTX* mac) noexcept {
  TicketKeys::Key key = keys.current();
  std::copy(key.name.begin(), key.name.end(), name);
  fill_random(std::span<std::uint8_t>(iv, kIvSize));
  const bool good =
      EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) == 1 &&
      set_mac(mac, key);
  OPENSSL_cleanse(&key, sizeof key);
  return good ? 1 : -1;
}

// 0: unknown key, a full handshake follows. 1: good. 2: good, but hand out a new ticket.
int open(const SSL* ssl, TicketKeys& keys, const unsigned char* name, const unsigned char* iv,
         EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) noexcept {
  std::array<std::uint8_t, 16> wanted;
  std::copy_n(name, wanted.size(), wanted.begin());
  auto found = keys.find(wanted);
  if (!found) return 0;
  const bool good =
      set_mac(mac, found->key) &&
      EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, found->key.cipher.data(), iv) == 1;
  OPENSSL_cleanse(&found->key, sizeof found->key);
  if (!good) return -1;
  // Clients use a TLS 1.3 ticket once (RFC 8446 appendix C.4) and need the next.
  return found->current && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
}

int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
              EVP_MAC_CTX* mac, int sealing) noexcept {
  const auto& state =
      *static_cast<const ServerContext::State*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  if (sealing == 1) return seal(*state.tickets, name, iv, cipher, mac);
  return open(ssl, *state.tickets, name, iv, cipher, mac);
}

}  // namespace

void install_ticket_callback(SSL_CTX* context) noexcept {
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}

}  // namespace revproxyd::tls
