#include "tls/system_authorities.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <openssl/x509.h>

#include "revproxyd/base/ascii.h"

namespace revproxyd::tls {

namespace {

constexpr const char* kWhat = "the system's certificate authorities: ";

// As OpenSSL finds it.
std::string named(const char* variable, const char* otherwise) {
  const char* value = ::secure_getenv(variable);
  return value == nullptr ? otherwise : value;
}

// To open or read it may take for ever.
bool may_block(const std::string& path) noexcept {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

// OpenSSL opens no others: the hash of a subject, and a number.
bool is_looked_up(std::string_view name) noexcept {
  constexpr std::size_t kHash = 8;
  if (name.size() <= kHash + 1 || name[kHash] != '.') return false;
  const auto is_hex = [](char c) { return ascii::hex_value(c) >= 0; };
  std::string_view number = name.substr(kHash + 1);
  if (number.front() == 'r') number.remove_prefix(1);  // a list of revoked ones
  return std::ranges::all_of(name.substr(0, kHash), is_hex) && !number.empty() &&
         std::ranges::all_of(number, ascii::is_digit);
}

// Empty when there is none.
std::string blocking_in(const std::string& directory) {
  std::error_code problem;
  std::filesystem::directory_iterator entry(directory, problem);
  for (; !problem && entry != std::filesystem::directory_iterator(); entry.increment(problem)) {
    std::string path = entry->path().string();
    if (is_looked_up(entry->path().filename().native()) && may_block(path)) return path;
  }
  return {};
}

std::string blocking_in_all(std::string_view directories) {
  while (!directories.empty()) {
    const std::size_t end = std::min(directories.find(':'), directories.size());
    std::string path = blocking_in(std::string(directories.substr(0, end)));
    if (!path.empty()) return path;
    directories.remove_prefix(std::min(end + 1, directories.size()));
  }
  return {};
}

std::string refusal(const char* variable, const std::string& path) {
  return std::string(kWhat) + variable + ": " + path + " is not a regular file";
}

}  // namespace

std::string trust_system(SSL_CTX* context) {
  const char* const of_file = X509_get_default_cert_file_env();
  const std::string file = named(of_file, X509_get_default_cert_file());
  if (may_block(file)) return refusal(of_file, file);
  const char* const of_directories = X509_get_default_cert_dir_env();
  const std::string directories = named(of_directories, X509_get_default_cert_dir());
  if (const std::string path = blocking_in_all(directories); !path.empty())
    return refusal(of_directories, path);
  if (SSL_CTX_set_default_verify_paths(context) != 1) return kWhat + reason_text();
  return {};
}

}  // namespace revproxyd::tls
