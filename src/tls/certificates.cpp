#include "revproxyd/tls/certificates.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <system_error>
#include <thread>
#include <unordered_set>
#include <utility>

#include "revproxyd/base/thread.h"
#include "tls/credential.h"

namespace revproxyd::tls {

namespace {

constexpr std::chrono::hours kSoon{7 * 24};
constexpr int kSoonPart = 5;  // a fifth of its life

// Loading of certificates: how many threads at most, and how many entries are worth one.
constexpr std::size_t kThreads = 8;
constexpr std::size_t kPerThread = 50;

std::string in_days(std::chrono::system_clock::duration time) {
  const auto days = std::chrono::duration_cast<std::chrono::hours>(time).count() / 24;
  return std::to_string(days) + (days == 1 ? " day" : " days");
}

// What is to be said about the validity at `now`; empty when all is well.
std::string validity(const Credential& credential, SystemTime now) {
  if (now < credential.not_before())
    return "not valid before " + in_days(credential.not_before() - now) + " from now";
  if (now >= credential.not_after())
    return "expired " + in_days(now - credential.not_after()) + " ago";
  const auto left = credential.not_after() - now;
  const auto life = credential.not_after() - credential.not_before();
  if (left < kSoon || left < life / kSoonPart) return "expires in " + in_days(left);
  return {};
}

bool readable_by_everyone(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0;
}

std::string key_of(std::string_view name) {
  return name.starts_with("*.") ? std::string(name.substr(1)) : std::string(name);
}

}  // namespace

struct CertificateStore::Builder {
  Builder(const CertificateStore* before, SystemTime time) : previous(before), now(time) {
    for (std::size_t i = 0; previous != nullptr && i < previous->entries_.size(); ++i) {
      const auto& [entry, credential] = previous->entries_[i];
      known.emplace(std::pair(entry.cert, entry.key), credential);
      served.emplace(entry.cert + '\n' + entry.key, i);
    }
  }

  using Files = std::pair<std::string, std::string>;

  // One entry into the store, or into the errors.
  void add(const Certificate& entry) {
    watch(entry.cert);
    if (watch(entry.key) && readable_by_everyone(entry.key)) {
      out.warnings.push_back({entry.key_at, "key " + entry.key + ": readable by everyone"});
    }
    Credential::Loaded loaded = loaded_for(entry);
    std::string error = loaded.credential ? unserved(entry, *loaded.credential) : loaded.error;
    if (!error.empty()) {
      loaded.credential = kept_for(entry);
      if (loaded.credential) error += " (the one from before stays in use)";
      (loaded.credential ? out.kept : out.errors)
          .push_back({loaded.of_key ? entry.key_at : entry.cert_at, std::move(error)});
      if (!loaded.credential) return;
    }
    judge(entry, *loaded.credential);
    // The operator's word goes: private clients may know what they do. Browsers will refuse it, so
    // it is said.
    for (const std::string& host : entry.hosts) {
      if (!loaded.credential->serves(host)) warn(entry, "does not cover " + shown(entry, host));
    }
    serve(entry, loaded.credential);
    store->entries_.emplace_back(entry, std::move(loaded.credential));
  }

  // Reads and parses on several threads, before add() judges one by one.
  void preload(const std::vector<Certificate>& entries) {
    std::vector<Files> wanted;
    for (const Certificate& entry : entries) {
      const Files files(entry.cert, entry.key);
      if (done.try_emplace(files).second) wanted.push_back(files);
    }
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next++; i < wanted.size(); i = next++) {
        // Every entry is there already: no thread changes the map.
        done.find(wanted[i])->second = load(wanted[i]);
      }
    };
    std::vector<std::jthread> threads;
    const std::size_t most = std::min<std::size_t>(std::thread::hardware_concurrency(), kThreads);
    try {
      while (threads.size() + 1 < std::min(most, wanted.size() / kPerThread))
        threads.push_back(thread_without_signals(work));
    } catch (const std::system_error&) {
      // Threads have run out: those that are there, and this one, do it.
    }
    work();
  }

  Loaded finish() {
    if (out.errors.empty()) out.store = std::move(store);
    return std::move(out);
  }

 private:
  static std::string shown(const Certificate& entry, const std::string& host) {
    const bool hidden = std::ranges::find(entry.hidden, host) != entry.hidden.end();
    return hidden ? "<redacted>" : host;
  }

  void warn(const Certificate& entry, const std::string& text) {
    out.warnings.push_back({entry.cert_at, "certificate " + entry.cert + ": " + text});
  }

  bool watch(const std::string& file) {
    const bool fresh = watched.insert(file).second;
    if (fresh) store->files_.push_back(file);
    return fresh;
  }

  const Credential::Loaded& loaded_for(const Certificate& entry) const {
    return done.at(Files(entry.cert, entry.key));
  }

  Credential::Loaded load(const Files& files) const {
    const auto before = known.find(files);
    return Credential::load(files.first, files.second,
                            before != known.end() ? before->second : nullptr);
  }

  // Why the certificate cannot serve the entry; empty when it can.
  static std::string unserved(const Certificate& entry, const Credential& credential) {
    if (entry.hosts.empty() && credential.names().empty()) {
      return "certificate " + entry.cert + ": names no host (it has no subjectAltName)";
    }
    return {};
  }

  std::shared_ptr<const Credential> kept_for(const Certificate& entry) const {
    const auto [begin, end] = served.equal_range(entry.cert + '\n' + entry.key);
    for (auto at = begin; at != end; ++at) {
      const auto& [before, credential] = previous->entries_[at->second];
      if (before == entry) return credential;
    }
    return nullptr;
  }

  void judge(const Certificate& entry, const Credential& credential) {
    if (!judged.insert(&credential).second) return;
    const std::string text = validity(credential, now);
    if (!text.empty()) warn(entry, text);
  }

  void serve(const Certificate& entry, const std::shared_ptr<const Credential>& credential) {
    for (const std::string& name : entry.hosts.empty() ? credential->names() : entry.hosts) {
      auto& group = store->groups_[key_of(name)];
      if (!group) group = std::make_shared<CredentialGroup>();
      if (store->first_ == nullptr) store->first_ = group.get();
      if (!group->add(credential)) {
        warn(entry, "never used for " + shown(entry, name) +
                        ", which an earlier one with the same kind of key serves");
      }
    }
  }

  const CertificateStore* previous;
  SystemTime now;
  std::shared_ptr<CertificateStore> store = std::make_shared<CertificateStore>();
  Loaded out;
  std::map<Files, std::shared_ptr<const Credential>> known;
  std::multimap<std::string, std::size_t> served;  // files to entries of `previous`
  std::map<Files, Credential::Loaded> done;
  std::unordered_set<std::string> watched;
  std::unordered_set<const Credential*> judged;
};

CertificateStore::Loaded CertificateStore::load(const std::vector<Certificate>& entries,
                                                SystemTime now) {
  Builder builder(nullptr, now);
  builder.preload(entries);
  for (const Certificate& entry : entries) builder.add(entry);
  return builder.finish();
}

CertificateStore::Loaded CertificateStore::reload(const std::vector<Certificate>& entries,
                                                  const CertificateStore& previous,
                                                  SystemTime now) {
  Builder builder(&previous, now);
  builder.preload(entries);
  for (const Certificate& entry : entries) builder.add(entry);
  return builder.finish();
}

const CredentialGroup* CertificateStore::find(std::string_view server_name) const noexcept {
  if (const auto exact = groups_.find(server_name); exact != groups_.end()) {
    // A key with a leading dot is a wildcard's, and no name.
    return server_name.starts_with('.') ? nullptr : exact->second.get();
  }
  const std::size_t dot = server_name.find('.');
  if (dot == 0 || dot == std::string_view::npos) return nullptr;
  const auto wildcard = groups_.find(server_name.substr(dot));
  return wildcard != groups_.end() ? wildcard->second.get() : nullptr;
}

}  // namespace revproxyd::tls
