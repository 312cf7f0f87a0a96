#include "tls/server_context.h"

#include <utility>

#include <openssl/tls1.h>

#include "revproxyd/base/ascii.h"
#include "tls/client_certificate.h"
#include "tls/digest.h"
#include "tls/internal_certificate.h"
#include "tls/policy.h"
#include "tls/tls_transport.h"

namespace revproxyd::tls {

namespace {

using State = ServerContext::State;

// How long a client may come back with a ticket. Each return hands out a new one: of a client that
// keeps coming the certificate is not verified again until it has expired or the policy changes.
constexpr long kSessionSeconds = 2 * 60 * 60;
// A chain of client certificates: the leaf, three intermediates, and the root.
constexpr int kVerifyDepth = 4;

// The host_name of the server_name extension (RFC 6066 section 3), empty when the extension is
// absent; false when it is malformed.
bool read_server_name(SSL* ssl, std::string& name) {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1) return true;
  constexpr std::size_t kHead = 5;  // length of the list, type, length of the name
  if (size <= kHead || data[2] != TLSEXT_NAMETYPE_host_name) return false;
  const std::size_t list = static_cast<std::size_t>(data[0] << 8 | data[1]);
  const std::size_t length = static_cast<std::size_t>(data[3] << 8 | data[4]);
  if (list != size - 2 || length != size - kHead || length > TLSEXT_MAXLEN_host_name) return false;
  name = ascii::lower(std::string_view(reinterpret_cast<const char*>(data) + kHead,
                                       length));  // NOLINT: bytes as text
  if (name.ends_with('.')) name.pop_back();
  return name.find('\0') == name.npos;
}

bool offers_protocols(SSL* ssl) noexcept {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data,
                                   &size) == 1;
}

const CredentialGroup* choose(const State& state, TlsTransport::Negotiation& negotiation) noexcept {
  if (state.internal) return state.internal.get();
  if (negotiation.server_name.empty()) return state.certificates->first();
  const CredentialGroup* found = state.certificates->find(negotiation.server_name);
  negotiation.named = found != nullptr;
  if (found == nullptr && state.settings.unknown_sni == UnknownSni::first)
    return state.certificates->first();
  return found;
}

// Runs before any ticket is looked at: the context id set here decides whether one is good for this
// connection.
int on_client_hello(SSL* ssl, int* alert, void* argument) noexcept {
  const State& state = *static_cast<const State*>(argument);
  auto& negotiation = TlsTransport::of(ssl).negotiation();
  if (!read_server_name(ssl, negotiation.server_name)) {
    negotiation.refusal = "malformed server name";
    *alert = SSL_AD_DECODE_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  // on_alpn is not asked when the client sends no list.
  if (state.alpn_required && !offers_protocols(ssl)) {
    negotiation.refusal = "the client offers no protocol";
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
  }
  negotiation.group = choose(state, negotiation);
  if (negotiation.group == nullptr) {
    negotiation.refusal = "no certificate for the server name";
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
  }
  std::string identity(state.policy.begin(), state.policy.end());
  identity.append(negotiation.group->identity().begin(), negotiation.group->identity().end());
  const Fingerprint id = sha256(identity);
  static_assert(sizeof id <= SSL_MAX_SID_CTX_LENGTH);
  return SSL_set_session_id_context(ssl, id.data(), id.size()) == 1 ? SSL_CLIENT_HELLO_SUCCESS
                                                                    : SSL_CLIENT_HELLO_ERROR;
}

// Only full handshakes need the certificates; OpenSSL picks among them by what the client can
// verify.
int on_certificate(SSL* ssl, void* /*argument*/) noexcept {
  const CredentialGroup* group = TlsTransport::of(ssl).negotiation().group;
  return group != nullptr && group->use(ssl) ? 1 : 0;
}

// The certificate was chosen in on_client_hello; this tells the client that its name was heard.
int on_server_name(SSL* /*ssl*/, int* /*alert*/, void* /*argument*/) noexcept {
  return SSL_TLSEXT_ERR_OK;
}

int on_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size,
            const unsigned char* offered, unsigned int size, void* argument) noexcept {
  const std::string& ours = static_cast<const State*>(argument)->alpn;
  unsigned char* chosen = nullptr;
  const auto* wire = reinterpret_cast<const unsigned char*>(ours.data());  // NOLINT: text as bytes
  const int found = SSL_select_next_proto(&chosen, out_size, wire,
                                          static_cast<unsigned int>(ours.size()), offered, size);
  if (found != OPENSSL_NPN_NEGOTIATED) {
    TlsTransport::of(ssl).negotiation().refusal = "no protocol in common";
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// Clients are told whose certificates are wanted, each name once.
bool name_to_clients(SSL_CTX* context, X509* authority) {
  const STACK_OF(X509_NAME)* const told = SSL_CTX_get_client_CA_list(context);
  for (int i = 0; i < sk_X509_NAME_num(told); ++i) {
    if (X509_NAME_cmp(sk_X509_NAME_value(told, i), X509_get_subject_name(authority)) == 0)
      return true;
  }
  return SSL_CTX_add_client_CA(context, authority) == 1;
}

std::string load_authorities(State& state) {
  const std::string& file = state.settings.client_auth.ca;
  if (file.empty()) return "client_auth: a ca file is needed";
  Authorities authorities;
  std::string error = read_authorities(file, authorities);
  if (!error.empty()) return error;
  SSL_CTX* const context = state.context.get();
  if (error = trust(context, authorities); !error.empty()) return error;
  for (int i = 0; i < sk_X509_num(authorities.certificates.get()); ++i) {
    if (!name_to_clients(context, sk_X509_value(authorities.certificates.get(), i)))
      return "tls: " + reason_text();
  }
  state.ca_bytes = std::move(authorities.pem);
  return {};
}

std::string share_authorities(State& state, const State& from) {
  SSL_CTX* const context = state.context.get();
  STACK_OF(X509_NAME)* names = SSL_dup_CA_list(SSL_CTX_get_client_CA_list(from.context.get()));
  if (names == nullptr) return "tls: " + reason_text();
  SSL_CTX_set_client_CA_list(context, names);  // takes them
  SSL_CTX_set1_cert_store(context, SSL_CTX_get_cert_store(from.context.get()));
  trust_anchors(context);
  state.ca_bytes = from.ca_bytes;
  return {};
}

std::string require_client_certificates(State& state, const ServerContext* authorities) {
  const ClientAuth& auth = state.settings.client_auth;
  if (auth.mode == ClientAuthMode::none) return {};
  const std::string error = authorities == nullptr ? load_authorities(state)
                                                   : share_authorities(state, authorities->state());
  if (!error.empty()) return error;
  SSL_CTX* const context = state.context.get();
  const int missing = auth.mode == ClientAuthMode::required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | missing, nullptr);
  SSL_CTX_set_verify_depth(context, kVerifyDepth);
  install_client_certificate_callbacks(context);
  return {};
}

// Everything that a full handshake would check and a resumed one does not.
Fingerprint policy_of(const ListenerTls& settings, const std::string& ca_bytes) {
  std::string text = "policy 2 ";
  text += static_cast<char>('0' + static_cast<int>(settings.min_version));
  text += static_cast<char>('0' + static_cast<int>(settings.client_auth.mode));
  // A ticket carries as much of the chain as the listener that sealed it told servers.
  text += static_cast<char>('0' + static_cast<int>(settings.client_auth.forward));
  text += ca_bytes;
  return sha256(text);
}

std::string choose_certificates(State& state, ServerContext::Options& options) {
  if (state.settings.internal) {
    const auto credential = internal_credential(std::chrono::system_clock::now());
    if (!credential) return "cannot make the internal certificate";
    auto group = std::make_shared<CredentialGroup>();
    group->add(credential);
    state.internal = std::move(group);
    return {};
  }
  if (!options.certificates || options.certificates->first() == nullptr)
    return "tls without a certificate";
  state.certificates = std::move(options.certificates);
  return {};
}

void install_callbacks(State& state) noexcept {
  SSL_CTX* const context = state.context.get();
  SSL_CTX_set_client_hello_cb(context, on_client_hello, &state);
  SSL_CTX_set_cert_cb(context, on_certificate, nullptr);
  // The macro for this casts as C does.
  SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                        reinterpret_cast<void (*)()>(on_server_name));  // NOLINT
  if (!state.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, on_alpn, &state);
  SSL_CTX_set_app_data(context, &state);
  install_ticket_callback(context);
}

}  // namespace

Built<ServerContext> ServerContext::create(Options options) {
  auto state = std::make_unique<State>();
  state->settings = std::move(options.settings);
  const config::Place& at = state->settings.at;
  state->tickets = std::move(options.tickets);
  if (!state->tickets) state->tickets = std::make_shared<TicketKeys>();
  const auto alpn = alpn_wire(options.alpn);
  if (!alpn) return {nullptr, "a protocol name is empty or too long", at};
  state->alpn = *alpn;
  state->alpn_required = options.alpn_required;
  clear_errors();
  state->context.reset(SSL_CTX_new(TLS_server_method()));
  if (!state->context || !apply_policy(state->context.get(), state->settings.min_version))
    return {nullptr, "tls: " + reason_text(), at};
  // Of both faults the authorities' is told: that of the certificates is known from their entry.
  if (std::string error = require_client_certificates(*state, options.authorities.get());
      !error.empty())
    return {nullptr, error, state->settings.client_auth.ca_at};
  if (std::string error = choose_certificates(*state, options); !error.empty())
    return {nullptr, error, at};
  state->policy = policy_of(state->settings, state->ca_bytes);
  SSL_CTX_set_session_cache_mode(state->context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(state->context.get(), kSessionSeconds);
  install_callbacks(*state);
  clear_errors();
  return {std::shared_ptr<const ServerContext>(new ServerContext(std::move(state))), {}};
}

ServerContext::ServerContext(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
ServerContext::~ServerContext() = default;

bool ServerContext::judges_like(const ServerContext& other) const noexcept {
  return state_->policy == other.state_->policy;
}

}  // namespace revproxyd::tls
