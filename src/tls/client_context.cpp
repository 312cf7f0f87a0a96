#include "tls/client_context.h"

#include <arpa/inet.h>

#include <array>
#include <utility>

#include "tls/credential.h"
#include "tls/policy.h"
#include "tls/system_authorities.h"
#include "tls/tls_transport.h"

namespace revproxyd::tls {

namespace {

using State = ClientContext::State;

// Keeps what the server gave. With TLS 1.3 this runs inside a read, whenever tickets come.
int on_session(SSL* ssl, SSL_SESSION* session) noexcept {
  auto& state = *static_cast<State*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  state.sessions.put(TlsTransport::of(ssl).negotiation().session_key, SessionPtr(session));
  return 1;  // the reference is ours
}

bool is_ip(const std::string& name) noexcept {
  std::array<unsigned char, sizeof(in6_addr)> bytes;
  return inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

std::string judge_by(State& state, const UpstreamTls& settings) {
  SSL_CTX* const context = state.context.get();
  state.verify = !settings.insecure_skip_verify;
  SSL_CTX_set_verify(context, state.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (!state.verify) return {};
  if (!settings.ca.empty()) {
    Authorities authorities;
    std::string error = read_authorities(settings.ca, authorities);
    return error.empty() ? trust(context, authorities) : error;
  }
  return trust_system(context);
}

config::Finding present(State& state, const UpstreamTls& settings) {
  if (settings.cert.empty() && settings.key.empty()) return {};
  if (settings.cert.empty() || settings.key.empty())
    return {{}, "a client certificate needs both cert and key"};
  const auto loaded = Credential::load(settings.cert, settings.key);
  if (!loaded.credential) return {loaded.of_key ? settings.key_at : settings.cert_at, loaded.error};
  if (!loaded.credential->use(state.context.get()))
    return {settings.cert_at, "certificate " + settings.cert + ": " + reason_text()};
  return {};
}

}  // namespace

Built<ClientContext> ClientContext::create(const Options& options) {
  auto state = std::make_unique<State>();
  clear_errors();
  state->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = state->context.get();
  if (context == nullptr || !apply_policy(context, MinVersion::tls12))
    return {nullptr, "tls: " + reason_text()};
  const auto alpn = alpn_wire(options.alpn);
  if (!alpn) return {nullptr, "a protocol name is empty or too long"};
  const auto* wire = reinterpret_cast<const unsigned char*>(alpn->data());  // NOLINT: text as bytes
  state->alpn_required = options.alpn_required;
  if (!alpn->empty() &&
      SSL_CTX_set_alpn_protos(context, wire, static_cast<unsigned int>(alpn->size())) != 0) {
    return {nullptr, "tls: " + reason_text()};
  }
  if (std::string error = judge_by(*state, options.settings); !error.empty())
    return {nullptr, error, options.settings.ca_at};
  if (config::Finding wrong = present(*state, options.settings); !wrong.text.empty())
    return {nullptr, wrong.text, wrong.place};
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, on_session);
  SSL_CTX_set_app_data(context, state.get());
  clear_errors();
  return {std::shared_ptr<const ClientContext>(new ClientContext(std::move(state))), {}};
}

ClientContext::ClientContext(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
ClientContext::~ClientContext() = default;

namespace {

// The macro for this casts as C does.
bool send_name(SSL* ssl, const std::string& name) noexcept {
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  const_cast<char*>(name.c_str())) == 1;  // NOLINT
}

}  // namespace

const char* expect_name(SSL* ssl, const std::string& name, bool verify) noexcept {
  const bool ip = is_ip(name);
  if (!ip && !name.empty() && !send_name(ssl, name)) return "the server name cannot be sent";
  if (!verify) return nullptr;
  // Without a name any certificate of a trusted authority would do, so that is no verification.
  if (name.empty()) return "no server name to verify";
  if (ip)
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1
               ? nullptr
               : "the address cannot be verified";
  SSL_set_hostflags(ssl,
                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return SSL_set1_host(ssl, name.c_str()) == 1 ? nullptr : "the server name cannot be verified";
}

}  // namespace revproxyd::tls
