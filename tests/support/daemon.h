#pragma once
// The daemon under test: the binary, with a configuration of the test, seen from the outside.

#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/access_entry.h"
#include "tests/support/command.h"
#include "tests/support/files.h"
#include "tests/support/waiting.h"

namespace revproxyd::testing {

/// Path of the binary: REVPROXYD_BINARY of the environment, else the one that was built with the
/// tests.
std::string binary_path();

/// True when the daemon is built with a sanitizer, so that memory and time are not those of the
/// product.
bool sanitized();

/// Runs the binary to its end.
CommandResult run_revproxyd(std::vector<std::string> arguments);

/// Started and serving when constructed. Where the configuration says nothing of workers,
/// access_log, admin and shutdown it gets two workers, a log and a socket in the test's directory,
/// and a short end. When it goes it must end with status 0, and must not have written what a
/// sanitizer or a failed assertion writes.
class Daemon {
 public:
  explicit Daemon(const std::string& config, const Activation& activation = {});
  /// With a command line instead of a file.
  explicit Daemon(const std::vector<std::string>& arguments);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  /// Port of the listener with this name; of the first one without.
  std::uint16_t port(const std::string& name = {}) const;

  void signal(int number) const;
  pid_t pid() const noexcept { return pid_; }
  /// Writes the file only.
  void write_config(const std::string& config);
  /// Writes it, sends HUP and waits for the verdict: true when it is ok.
  bool reload(const std::string& config);
  /// HUP with the file as it is.
  bool reload();
  CommandResult ctl(const std::string& verb) const;
  /// Waits for the next upgrade that the log tells of, and means its process from then on. Those
  /// before it must end with status 0 in the end, too.
  void follow();
  /// `ctl upgrade`, and follow() when it is done.
  CommandResult upgrade();
  /// The end of the process that served before the last upgrade; as wait_exit().
  int wait_former(Milliseconds patience = kPatience);

  /// TERM; the exit status once it has ended, -1 when it does not within `patience`.
  int stop(Milliseconds patience = kPatience);
  /// Waits for an end that something else caused.
  int wait_exit(Milliseconds patience = kPatience);

  /// A line of the log with this text, after the first `from` lines; throws TimedOut with the log
  /// when none comes.
  std::string wait_log(std::string_view text, std::size_t from = 0,
                       Milliseconds patience = kPatience) const;
  std::size_t log_lines() const;
  std::string log() const;

  /// Waits for a line of the access log that `fits`; throws TimedOut with the whole log.
  AccessEntry wait_access(const std::function<bool(const AccessEntry&)>& fits,
                          Milliseconds patience = kPatience) const;
  /// That of the path.
  AccessEntry wait_access_of(const std::string& path) const;
  AccessEntry wait_access_why(const std::string& why) const;
  /// All that the access log holds now.
  std::vector<AccessEntry> access_entries() const;
  std::string access_log_file() const { return directory_.file("access.log"); }
  /// What it wrote to standard output.
  std::string output() const { return read_file(directory_.file("stdout")); }

  const TempDir& directory() const noexcept { return directory_; }
  std::string config_file() const { return directory_.file("proxy.yaml"); }
  std::string admin_socket() const { return directory_.file("admin.sock"); }

  std::size_t rss_kib() const;
  std::size_t descriptors() const;

 private:
  std::string completed(const std::string& config) const;
  void start(std::vector<std::string> arguments, const Activation& activation = {});
  void read_log();
  void take_line(const std::string& line);
  void check_end(int status);
  void end_formers();

  TempDir directory_;
  pid_t pid_ = -1;
  int log_pipe_ = -1;
  std::thread log_reader_;
  std::optional<int> status_;
  std::vector<pid_t> formers_;  // that an upgrade has replaced and that were not waited for
  std::size_t followed_ = 0;    // lines of the log that were searched for upgrades
  mutable std::mutex mutex_;    // over all below
  mutable std::condition_variable changed_;
  std::vector<std::string> lines_;
  std::vector<std::pair<std::string, std::uint16_t>> ports_;
  bool ready_ = false;
  bool log_ended_ = false;
};

}  // namespace revproxyd::testing
