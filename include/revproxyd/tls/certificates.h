#pragma once
// The certificates of the configuration: loaded and judged off the workers, found by name during
// handshakes.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "revproxyd/tls/settings.h"

namespace revproxyd::tls {

class Credential;       // a certificate chain with its private key
class CredentialGroup;  // what may be presented for one name: a credential for each kind of key

using SystemTime = std::chrono::system_clock::time_point;

/// The contents of `certificates`; immutable, shared by all listeners and workers. A name costs one
/// hash look-up, however many there are.
class CertificateStore {
 public:
  struct Loaded {
    std::shared_ptr<const CertificateStore> store;  // null when there are errors
    std::vector<config::Finding> errors;            // entries that cannot be served
    /// reload: entries served from before, and what is wrong with their files now
    std::vector<config::Finding> kept;
    std::vector<config::Finding> warnings;
  };

  /// Reads every entry and reports all that is wrong. Errors: a file that cannot be read or is not
  /// PEM, a key that does not match or is too weak, a chain out of order. Warnings: a host that the
  /// certificate does not name, expired or not valid yet, less than a fifth of its life or 7 days
  /// left, a key file that everybody may read, a second certificate with the same kind of key for a
  /// name. An entry without hosts serves the DNS names of its certificate.
  static Loaded load(const std::vector<Certificate>& entries, SystemTime now);

  /// The same, but an unchanged entry whose files are bad now keeps what `previous` has for it.
  /// Files with the same bytes are not parsed again.
  static Loaded reload(const std::vector<Certificate>& entries, const CertificateStore& previous,
                       SystemTime now);

  /// What serves `server_name` (lower case, without a trailing dot): an exact name goes before a
  /// wildcard, which stands for one label. Null when none does. Lives as long as the store.
  const CredentialGroup* find(std::string_view server_name) const noexcept;
  /// What serves clients that send no name: the first entry. Null when the store is empty.
  const CredentialGroup* first() const noexcept { return first_; }

  /// The files to watch, each once.
  const std::vector<std::string>& files() const noexcept { return files_; }

 private:
  struct Builder;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>()(text);
    }
  };
  using Groups =
      std::unordered_map<std::string, std::shared_ptr<CredentialGroup>, Hash, std::equal_to<>>;

  Groups groups_;  // "name", and ".name" for "*.name"
  const CredentialGroup* first_ = nullptr;
  std::vector<std::pair<Certificate, std::shared_ptr<const Credential>>> entries_;
  std::vector<std::string> files_;
};

}  // namespace revproxyd::tls
