#pragma once
// A certificate chain with its private key, checked once and then presented by any number of
// connections on any thread.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/tls/certificates.h"
#include "tls/openssl.h"

namespace revproxyd::tls {

using Fingerprint = std::array<std::uint8_t, 32>;  // SHA-256

/// What tells whether a file has changed without reading it.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = -1;  // there is no such file
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
  bool operator==(const FileStamp&) const = default;
};

class Credential {
 public:
  struct Loaded {
    std::shared_ptr<const Credential> credential;
    std::string error;    // when there is none: "certificate b.pem: key does not match"
    bool of_key = false;  // what is wrong is the key's file
  };

  /// The PEM chain (leaf first) of `cert` with the PEM key of `key`; both may be in one file.
  /// `unchanged` is returned when the bytes are its own; they are not read where the files' inodes,
  /// sizes and times say that they are the same.
  static Loaded load(const std::string& cert, const std::string& key,
                     const std::shared_ptr<const Credential>& unchanged = nullptr);

  /// A certificate of one's own: no chain, covers any name.
  static std::shared_ptr<const Credential> self_signed(X509Ptr leaf, KeyPtr key);

  /// Makes a connection present it, beside credentials with other kinds of keys.
  bool use(SSL* ssl) const noexcept;
  bool use(SSL_CTX* context) const noexcept;

  /// One of the subjectAltNames covers `host` (lower case): as written, or by a wildcard for the
  /// first label (RFC 9525 section 6.3).
  bool covers(std::string_view host) const noexcept;
  /// `name` itself, which may begin with "*.", is among the subjectAltNames or covered by them.
  bool serves(std::string_view name) const noexcept;
  /// DNS names, lower case, and IP addresses as text; sorted.
  const std::vector<std::string>& names() const noexcept { return names_; }

  /// RSA, EC or Ed25519, as OpenSSL numbers them.
  int key_kind() const noexcept { return EVP_PKEY_get_base_id(key_.get()); }
  SystemTime not_before() const noexcept { return not_before_; }
  SystemTime not_after() const noexcept { return not_after_; }
  const Fingerprint& fingerprint() const noexcept { return fingerprint_; }
  bool is(const X509* leaf) const noexcept { return leaf_.get() == leaf; }

 private:
  Credential() = default;
  std::string read_chain(const std::string& pem);
  std::string read_key(const std::string& pem);
  std::string check_chain() const;
  void describe();

  X509Ptr leaf_;
  StackPtr chain_;
  KeyPtr key_;
  std::vector<std::string> names_;
  SystemTime not_before_;
  SystemTime not_after_;
  Fingerprint fingerprint_{};  // of the leaf
  Fingerprint source_{};       // of the files' bytes
  FileStamp cert_stamp_;       // as of before they were read
  FileStamp key_stamp_;
  bool stamped_ = false;  // the files had been at rest then, so that the stamps mean something
  bool any_name_ = false;
};

class CredentialGroup {
 public:
  /// False when one with that kind of key is there already.
  bool add(std::shared_ptr<const Credential> credential);
  bool use(SSL* ssl) const noexcept;
  /// The member that the full handshake which `ssl` is through has presented; which one depends on
  /// the client.
  const Credential* presented(const SSL* ssl) const noexcept;
  /// Every member covers `host`: for where it is not known which was presented.
  bool covers(std::string_view host) const noexcept;
  /// Identifies the certificates; the same over reloads as long as they are the same.
  const Fingerprint& identity() const noexcept { return identity_; }

 private:
  std::vector<std::shared_ptr<const Credential>> credentials_;
  Fingerprint identity_{};
};

/// The contents of a regular file of at most 1 MiB, or in `error`, which is empty before, why not.
std::string read_file(const std::string& path, std::string& error);

}  // namespace revproxyd::tls
