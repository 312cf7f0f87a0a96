#include "tests/support/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <gtest/gtest.h>

#include "tests/support/stream.h"

namespace revproxyd::testing {

namespace {

constexpr Milliseconds kStart{20000};
constexpr std::array<const char*, 5> kDisasters{"Sanitizer", "runtime error:", "Assertion",
                                                "terminate called", "LeakSanitizer"};

bool starts_section(const std::string& config, const std::string& key) {
  return config.starts_with(key) || config.find("\n" + key) != std::string::npos;
}

}  // namespace

std::string binary_path() {
  const char* chosen = std::getenv("REVPROXYD_BINARY");
  return chosen != nullptr ? chosen : REVPROXYD_BINARY;
}

bool sanitized() {
  static const bool found = [] {
    const std::string path = binary_path();
    std::string bytes(std::filesystem::file_size(path), '\0');
    std::ifstream(path, std::ios::binary)
        .read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return bytes.find("__sanitizer_") != std::string::npos;
  }();
  return found;
}

CommandResult run_revproxyd(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), binary_path());
  return run_command(arguments);
}

Daemon::Daemon(const std::string& config, const Activation& activation) {
  write_config(config);
  start({"-c", config_file()}, activation);
}

Daemon::Daemon(const std::vector<std::string>& arguments) { start(arguments); }

Daemon::~Daemon() {
  const int status = status_ ? *status_ : stop();
  end_formers();
  if (log_reader_.joinable()) log_reader_.join();
  ::close(log_pipe_);
  check_end(status);
}

void Daemon::check_end(int status) {
  const std::string log = this->log();
  if (status != 0) ADD_FAILURE() << "the daemon ended with " << status << "\n" << log;
  for (const char* disaster : kDisasters) {
    if (log.find(disaster) != std::string::npos) {
      ADD_FAILURE() << log;
      return;
    }
  }
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const bool failing =
      std::uncaught_exceptions() > 0 || (test != nullptr && test->result()->Failed());
  if (status == 0 && failing) {
    std::fprintf(stderr, "--- log of the daemon\n%s--- access log\n%s---\n", log.c_str(),
                 read_file(access_log_file()).c_str());
  }
}

std::string Daemon::completed(const std::string& config) const {
  std::string out = config;
  if (!out.ends_with('\n')) out += '\n';
  if (!starts_section(config, "workers:")) out += "workers: 2\n";
  if (!starts_section(config, "access_log:"))
    out += "access_log: { path: " + access_log_file() + " }\n";
  if (!starts_section(config, "admin:")) out += "admin: { socket: " + admin_socket() + " }\n";
  if (!starts_section(config, "shutdown:")) out += "shutdown: { drain: 1s }\n";
  return out;
}

void Daemon::write_config(const std::string& config) {
  write_file(config_file(), completed(config));
}

void Daemon::start(std::vector<std::string> arguments, const Activation& activation) {
  arguments.insert(arguments.begin(), binary_path());
  // What an upgrade leaves without a parent is ours to wait for.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out =
      ::open(directory_.file("stdout").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_ = start_process(arguments, nothing, out, pipe[1], activation);
  ::close(nothing);
  ::close(out);
  ::close(pipe[1]);
  log_pipe_ = pipe[0];
  log_reader_ = std::thread([this] { read_log(); });
  bool up = false;
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kStart, [this] { return ready_ || log_ended_; });
    up = ready_;
  }
  if (up) return;
  ::kill(pid_, SIGKILL);
  wait_process(pid_, kPatience);
  log_reader_.join();
  ::close(log_pipe_);
  throw std::runtime_error("the daemon does not start:\n" + log() + read_file(config_file()));
}

void Daemon::read_log() {
  std::string rest;
  std::array<char, 8192> buffer{};
  for (;;) {
    const ssize_t got = ::read(log_pipe_, buffer.data(), buffer.size());
    if (got <= 0) break;
    rest.append(buffer.data(), static_cast<std::size_t>(got));
    std::size_t end = 0;
    while ((end = rest.find('\n')) != std::string::npos) {
      take_line(rest.substr(0, end));
      rest.erase(0, end + 1);
    }
  }
  if (!rest.empty()) take_line(rest);
  const std::lock_guard lock(mutex_);
  log_ended_ = true;
  changed_.notify_all();
}

void Daemon::take_line(const std::string& line) {
  constexpr std::string_view kListener = ": listener ";
  constexpr std::string_view kListening = ": listening on ";
  const std::lock_guard lock(mutex_);
  lines_.push_back(line);
  if (line.ends_with("info: ready")) ready_ = true;
  const std::size_t name = line.find(kListener);
  const std::size_t address = line.find(kListening);
  if (name != std::string::npos && address != std::string::npos) {
    const std::size_t begin = name + kListener.size();
    const std::string port = line.substr(line.rfind(':') + 1);
    const bool number = !port.empty() && port.find_first_not_of("0123456789") == std::string::npos;
    ports_.emplace_back(line.substr(begin, address - begin),
                        number ? static_cast<std::uint16_t>(std::stoul(port)) : 0);
  }
  changed_.notify_all();
}

std::uint16_t Daemon::port(const std::string& name) const {
  std::unique_lock lock(mutex_);
  std::uint16_t found = 0;
  const auto known = [&] {
    for (const auto& [listener, port] : ports_) {
      if (!name.empty() && listener != name) continue;
      found = port;
      if (name.empty()) return true;
    }
    return found != 0;
  };
  if (!changed_.wait_for(lock, kPatience, known))
    throw std::runtime_error("no listener '" + name + "'");
  return found;
}

void Daemon::signal(int number) const { ::kill(pid_, number); }

bool Daemon::reload(const std::string& config) {
  write_config(config);
  return reload();
}

bool Daemon::reload() {
  const std::size_t before = log_lines();
  signal(SIGHUP);
  std::unique_lock lock(mutex_);
  std::string verdict;
  const auto judged = [&] {
    for (std::size_t i = before; i < lines_.size(); ++i) {
      const std::size_t at = lines_[i].find(": reload ");
      if (at == std::string::npos) continue;
      if (lines_[i].find(": ok", at) != std::string::npos) verdict = "ok";
      if (lines_[i].find("refused", at) != std::string::npos) verdict = "refused";
    }
    return !verdict.empty() || log_ended_;
  };
  if (!changed_.wait_for(lock, kStart, judged)) throw TimedOut("no verdict about the reload");
  return verdict == "ok";
}

CommandResult Daemon::ctl(const std::string& verb) const {
  return run_revproxyd({"ctl", verb, "--socket", admin_socket()});
}

void Daemon::follow() {
  constexpr std::string_view kUpgraded = "upgraded: process ";
  const std::string line = wait_log(kUpgraded, followed_);
  {
    const std::lock_guard lock(mutex_);
    while (lines_[followed_++] != line) {
    }
  }
  formers_.push_back(pid_);
  pid_ = std::stoi(line.substr(line.find(kUpgraded) + kUpgraded.size()));
}

CommandResult Daemon::upgrade() {
  CommandResult result = ctl("upgrade");
  if (result.status == 0) follow();
  return result;
}

int Daemon::wait_former(Milliseconds patience) {
  const pid_t former = formers_.back();
  formers_.pop_back();
  return wait_process(former, patience);
}

void Daemon::end_formers() {
  for (const pid_t former : formers_) ::kill(former, SIGTERM);
  while (!formers_.empty()) EXPECT_EQ(wait_former(), 0) << "of a process that was replaced";
}

int Daemon::stop(Milliseconds patience) {
  if (!status_) signal(SIGTERM);
  return wait_exit(patience);
}

int Daemon::wait_exit(Milliseconds patience) {
  if (!status_) status_ = wait_process(pid_, patience);
  return *status_;
}

std::string Daemon::wait_log(std::string_view text, std::size_t from, Milliseconds patience) const {
  std::unique_lock lock(mutex_);
  std::string found;
  const auto there = [&] {
    for (std::size_t i = from; i < lines_.size(); ++i) {
      if (lines_[i].find(text) == std::string::npos) continue;
      found = lines_[i];
      return true;
    }
    return log_ended_;
  };
  changed_.wait_for(lock, patience, there);
  if (found.empty()) throw TimedOut("the log never said '" + std::string(text) + "'");
  return found;
}

std::size_t Daemon::log_lines() const {
  const std::lock_guard lock(mutex_);
  return lines_.size();
}

std::string Daemon::log() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const std::string& line : lines_) out += line + "\n";
  return out;
}

std::vector<AccessEntry> Daemon::access_entries() const {
  std::vector<AccessEntry> out;
  const std::string text = read_file(access_log_file());
  std::size_t begin = 0;
  // The last line may still be in the making.
  for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    out.emplace_back(std::string_view(text).substr(begin, end - begin));
  }
  return out;
}

AccessEntry Daemon::wait_access(const std::function<bool(const AccessEntry&)>& fits,
                                Milliseconds patience) const {
  std::optional<AccessEntry> found;
  wait_until(
      [&] {
        for (AccessEntry& entry : access_entries()) {
          if (!fits(entry)) continue;
          found = std::move(entry);
          break;
        }
        return found.has_value();
      },
      patience);
  if (!found) throw TimedOut("no such line in the access log");
  return *found;
}

AccessEntry Daemon::wait_access_of(const std::string& path) const {
  return wait_access([&](const AccessEntry& entry) { return entry.path() == path; });
}

AccessEntry Daemon::wait_access_why(const std::string& why) const {
  return wait_access([&](const AccessEntry& entry) { return entry.why() == why; });
}

std::size_t Daemon::rss_kib() const {
  std::istringstream status(read_file("/proc/" + std::to_string(pid_) + "/status"));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoull(line.substr(6));
  }
  return 0;
}

std::size_t Daemon::descriptors() const {
  const std::filesystem::directory_iterator entries("/proc/" + std::to_string(pid_) + "/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

}  // namespace revproxyd::testing
