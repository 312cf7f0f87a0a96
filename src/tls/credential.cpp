#include "tls/credential.h"

#include <arpa/inet.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/pem.h>

#include "revproxyd/base/ascii.h"
#include "revproxyd/base/regular_file.h"
#include "tls/digest.h"
#include "tls/key_decoder.h"

namespace revproxyd::tls {

namespace {

constexpr std::size_t kFileBytes = 1024 * 1024;
// A file that was written this short a time ago may be written again within the same tick of its
// times.
constexpr std::int64_t kRestNs = 2'000'000'000;
constexpr int kChainLength = 10;  // besides the leaf
constexpr int kRsaBits = 2048;    // what security level 2 of OpenSSL asks for
constexpr int kCurveBits = 224;

BioPtr memory(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

SystemTime time_of(const ASN1_TIME* time) noexcept {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return SystemTime{};
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

std::string text_of(const ASN1_STRING* string) {
  const unsigned char* data = ASN1_STRING_get0_data(string);
  return std::string(data, data + ASN1_STRING_length(string));
}

std::string ip_text(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  const int size = ASN1_STRING_length(bytes);
  if (size == 4 || size == 16)
    inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof text);
  return text;
}

std::vector<std::string> names_of(X509* leaf) {
  std::vector<std::string> names;
  const NamesPtr found(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
  const int count = found ? sk_GENERAL_NAME_num(found.get()) : 0;
  for (int i = 0; i < count; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(found.get(), i);
    if (name->type == GEN_DNS) names.push_back(ascii::lower(text_of(name->d.dNSName)));
    if (name->type == GEN_IPADD) names.push_back(ip_text(name->d.iPAddress));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string weakness(EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
      if (bits >= kRsaBits) return {};
      return "an RSA key of " + std::to_string(bits) + " bits is too short, 2048 are needed";
    case EVP_PKEY_EC:
      if (bits >= kCurveBits) return {};
      return "an EC key of " + std::to_string(bits) + " bits is too short";
    case EVP_PKEY_ED25519: return {};
    default: return "the key is neither RSA nor EC nor Ed25519";
  }
}

// Of the digests, so that what belongs to which file matters.
Fingerprint digest_of(const std::string& chain_pem, const std::string& key_pem) {
  const Fingerprint chain = sha256(chain_pem);
  const Fingerprint key = sha256(key_pem);
  std::string both(chain.begin(), chain.end());
  both.append(key.begin(), key.end());
  return sha256(both);
}

std::int64_t nanoseconds(const timespec& time) noexcept {
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

FileStamp stamp_of(const std::string& path) noexcept {
  struct stat status {};
  FileStamp stamp;
  if (::stat(path.c_str(), &status) != 0) return stamp;
  stamp.device = status.st_dev;
  stamp.inode = status.st_ino;
  stamp.size = status.st_size;
  stamp.modified_ns = nanoseconds(status.st_mtim);
  stamp.changed_ns = nanoseconds(status.st_ctim);
  return stamp;
}

bool at_rest(const FileStamp& stamp) noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t last = std::max(stamp.modified_ns, stamp.changed_ns);
  return stamp.size >= 0 && nanoseconds(now) - last > kRestNs;
}

}  // namespace

std::string read_file(const std::string& path, std::string& error) {
  RegularFile file = read_regular_file(path, kFileBytes);
  if (file.too_large)
    error = "larger than 1 MiB";
  else if (!file.ok)
    error = "cannot read: " + file.problem;
  else if (file.text.empty())
    error = "it is empty";
  return error.empty() ? std::move(file.text) : std::string();
}

Credential::Loaded Credential::load(const std::string& cert, const std::string& key,
                                    const std::shared_ptr<const Credential>& unchanged) {
  const FileStamp cert_stamp = stamp_of(cert);
  const FileStamp key_stamp = stamp_of(key);
  if (unchanged && unchanged->stamped_ && unchanged->cert_stamp_ == cert_stamp &&
      unchanged->key_stamp_ == key_stamp)
    return {unchanged, {}};
  std::string error;
  const std::string chain_pem = read_file(cert, error);
  if (!error.empty()) return {nullptr, "certificate " + cert + ": " + error};
  std::string key_pem = read_file(key, error);
  if (!error.empty()) return {nullptr, "key " + key + ": " + error, true};

  const Fingerprint source = digest_of(chain_pem, key_pem);
  if (unchanged && unchanged->source_ == source) {
    OPENSSL_cleanse(key_pem.data(), key_pem.size());
    return {unchanged, {}};
  }

  const std::shared_ptr<Credential> made(new Credential);
  made->source_ = source;
  made->cert_stamp_ = cert_stamp;
  made->key_stamp_ = key_stamp;
  made->stamped_ = at_rest(cert_stamp) && at_rest(key_stamp);
  error = made->read_chain(chain_pem);
  const bool chain_read = error.empty();
  if (chain_read) error = made->read_key(key_pem);
  OPENSSL_cleanse(key_pem.data(), key_pem.size());
  ERR_clear_error();
  if (!chain_read) return {nullptr, "certificate " + cert + ": " + error};
  if (!error.empty()) return {nullptr, "key " + key + ": " + error, true};
  if (X509_check_private_key(made->leaf_.get(), made->key_.get()) != 1) {
    ERR_clear_error();
    return {nullptr, "certificate " + cert + ": key does not match"};
  }
  error = made->check_chain();
  if (!error.empty()) return {nullptr, "certificate " + cert + ": " + error};
  made->describe();
  return {made, {}};
}

std::string Credential::read_chain(const std::string& pem) {
  const BioPtr bio = memory(pem);
  leaf_.reset(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!leaf_) return "no certificate in PEM form: " + reason_text();
  chain_.reset(sk_X509_new_null());
  for (;;) {
    X509Ptr next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!next) break;
    if (sk_X509_num(chain_.get()) == kChainLength) return "a chain of more than 10 certificates";
    if (sk_X509_push(chain_.get(), next.get()) > 0) static_cast<void>(next.release());
  }
  const unsigned long last = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  if (!at_end)
    return "certificate " + std::to_string(sk_X509_num(chain_.get()) + 2) +
           " of the chain: " + reason_text();
  ERR_clear_error();
  return {};
}

std::string Credential::read_key(const std::string& pem) {
  // It has to be of the certificate's kind in the end.
  const EVP_PKEY* shown = X509_get0_pubkey(leaf_.get());
  if (shown != nullptr) key_ = decode_key(pem, EVP_PKEY_get0_type_name(shown));
  if (key_) return weakness(key_.get());
  ERR_clear_error();
  const BioPtr bio = memory(pem);
  bool encrypted = false;
  key_.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, &encrypted));
  if (encrypted) return "it is encrypted, which is not supported";
  if (!key_) return "no private key in PEM form: " + reason_text();
  return weakness(key_.get());
}

std::string Credential::check_chain() const {
  X509* subject = leaf_.get();
  for (int i = 0; i < sk_X509_num(chain_.get()); ++i) {
    X509* issuer = sk_X509_value(chain_.get(), i);
    if (X509_check_issued(issuer, subject) != X509_V_OK) {
      return "certificate " + std::to_string(i + 2) + " of the chain did not issue certificate " +
             std::to_string(i + 1);
    }
    subject = issuer;
  }
  return {};
}

void Credential::describe() {
  read_extensions(leaf_.get());
  names_ = names_of(leaf_.get());
  not_before_ = time_of(X509_get0_notBefore(leaf_.get()));
  not_after_ = time_of(X509_get0_notAfter(leaf_.get()));
  unsigned int size = 0;
  X509_digest(leaf_.get(), EVP_sha256(), fingerprint_.data(), &size);
  ERR_clear_error();
}

std::shared_ptr<const Credential> Credential::self_signed(X509Ptr leaf, KeyPtr key) {
  const std::shared_ptr<Credential> made(new Credential);
  made->leaf_ = std::move(leaf);
  made->key_ = std::move(key);
  made->chain_.reset(sk_X509_new_null());
  made->any_name_ = true;
  made->describe();
  return made;
}

bool Credential::use(SSL* ssl) const noexcept {
  return SSL_use_cert_and_key(ssl, leaf_.get(), key_.get(), chain_.get(), 1) == 1;
}

bool Credential::use(SSL_CTX* context) const noexcept {
  return SSL_CTX_use_cert_and_key(context, leaf_.get(), key_.get(), chain_.get(), 1) == 1;
}

bool Credential::covers(std::string_view host) const noexcept {
  if (any_name_ || std::binary_search(names_.begin(), names_.end(), host)) return true;
  const std::size_t dot = host.find('.');
  if (dot == 0 || dot == std::string_view::npos) return false;
  const std::string_view parent = host.substr(dot);
  const auto matches = [parent](const std::string& name) {
    return name.starts_with('*') && name.compare(1, name.npos, parent) == 0;
  };
  return std::any_of(names_.begin(), names_.end(), matches);
}

bool Credential::serves(std::string_view name) const noexcept {
  return name.starts_with("*.")
             ? any_name_ || std::binary_search(names_.begin(), names_.end(), name)
             : covers(name);
}

bool CredentialGroup::add(std::shared_ptr<const Credential> credential) {
  for (const auto& present : credentials_) {
    if (present->key_kind() == credential->key_kind()) return present == credential;
  }
  std::string identity(identity_.begin(), identity_.end());
  identity.append(credential->fingerprint().begin(), credential->fingerprint().end());
  identity_ = sha256(identity);
  credentials_.push_back(std::move(credential));
  return true;
}

bool CredentialGroup::use(SSL* ssl) const noexcept {
  for (const auto& credential : credentials_) {
    if (!credential->use(ssl)) return false;
  }
  return !credentials_.empty();
}

const Credential* CredentialGroup::presented(const SSL* ssl) const noexcept {
  const X509* leaf = SSL_get_certificate(ssl);
  for (const auto& credential : credentials_) {
    if (credential->is(leaf)) return credential.get();
  }
  return nullptr;
}

bool CredentialGroup::covers(std::string_view host) const noexcept {
  const auto covered = [host](const auto& credential) { return credential->covers(host); };
  return std::all_of(credentials_.begin(), credentials_.end(), covered);
}

}  // namespace revproxyd::tls
