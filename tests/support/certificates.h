#pragma once
// Certificates made for one test.

#include <memory>
#include <string>
#include <vector>

#include "tests/support/files.h"

namespace revproxyd::testing {

enum class KeyKind { ecdsa, rsa };

/// A certificate with its key, as PEM and as files.
struct Certificate {
  std::string cert_pem;
  std::string key_pem;
  std::string cert_file;
  std::string key_file;
};

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> dns;  // subject alternative names
  std::vector<std::string> ips;
  KeyKind kind = KeyKind::ecdsa;
  long from_days = -1;  // validity, counted from now
  long to_days = 30;
};

/// An authority and what it issues.
class Certificates {
 public:
  explicit Certificates(const std::string& name = "Test Authority");
  /// Below another authority: files of what it issues hold its own certificate, too.
  Certificates(const std::string& name, const Certificates& above);
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;
  ~Certificates();

  /// File of the authority's own certificate.
  const std::string& authority_file() const noexcept { return authority_file_; }
  std::string authority_pem() const;

  Certificate issue(const CertificateRequest& request);
  /// Shorthand for the usual: these host names; an address goes into the addresses.
  Certificate issue_for(const std::vector<std::string>& names, KeyKind kind = KeyKind::ecdsa);

  /// Valid for `name` from ten days ago until yesterday.
  Certificate issue_expired(const std::string& name);

  const TempDir& directory() const noexcept { return directory_; }

 private:
  struct Authority;
  Certificates(const std::string& name, const Authority* above);
  TempDir directory_;
  std::unique_ptr<Authority> authority_;
  std::string authority_file_;
  std::string chain_;  // behind each certificate in its file
  int issued_ = 0;
};

}  // namespace revproxyd::testing
