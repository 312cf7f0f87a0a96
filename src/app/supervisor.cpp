#include "app/supervisor.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <thread>

#include "app/command_line.h"
#include "app/notify.h"
#include "revproxyd/base/log.h"
#include "revproxyd/tls/random.h"

namespace revproxyd::app {

namespace {

constexpr Duration kSecond{1000};
// How long the start waits for names; a server whose name is still unknown then is just not ready
// yet.
constexpr Duration kResolveWait{2000};
constexpr std::size_t kWatchEverySeconds = 2;
// After the drain time the rest is cut, and given this long to notice.
constexpr Duration kCutTime{3000};

std::uint32_t usable_cpus() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

log::Level level_of(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug: return log::Level::debug;
    case LogLevel::info: return log::Level::info;
    case LogLevel::warn: return log::Level::warn;
    case LogLevel::error: return log::Level::error;
  }
  return log::Level::info;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

std::string text_of(const Error& error) {
  std::string text(error.text());
  if (error.sys() != 0) text += std::string(": ") + std::generic_category().message(error.sys());
  return text;
}

}  // namespace

Supervisor::Supervisor(Load reload)
    : reload_(std::move(reload)),
      tickets_(std::make_shared<tls::TicketKeys>()),
      second_(*this, &Supervisor::every_second),
      drain_(*this, &Supervisor::cut) {}

Supervisor::~Supervisor() = default;

int Supervisor::run(const Settings& settings) {
  if (!start(settings)) {
    finish_stop();
    return kExitStartFailed;
  }
  signals_ = std::make_unique<net::Signals>(
      loop_, std::initializer_list<int>{SIGHUP, SIGTERM, SIGINT, SIGUSR1},
      [this](int number) { on_signal(number); });
  second_.arm(kSecond);
  log::info("ready");
  notify_service_manager("READY=1");
  loop_.run();
  finish_stop();
  return kExitOk;
}

bool Supervisor::start(const Settings& settings) {
  std::string problem;
  if (!open_logs(settings, access_log_, problem)) {
    log::error(problem);
    return false;
  }
  settings_ = settings;
  make_workers();
  std::map<std::string, BoundAddress> fresh;
  if (!bind_new(settings_, Ports::chosen, fresh, problem)) {
    log::error(problem);
    return false;
  }
  built_ = std::make_unique<Built>(build(settings_, nullptr, tickets_, ++generation_));
  log::lines(log::Level::warn, joined(built_->warnings));
  if (!built_->errors.empty()) {
    log::lines(log::Level::error, joined(built_->errors));
    return false;
  }
  if (!bind_new(settings_, Ports::fixed, fresh, problem)) {
    log::error(problem);
    return false;
  }
  upstreams_.resolve(built_->upstreams);
  wait_resolved();
  install(std::move(fresh));
  while (pending_ != 0) loop_.run_for(kSecond);
  if (!start_control()) return false;
  upstreams_.check(built_->upstreams);
  watched_ = settling_ = signature_of(built_->watched);
  counts_.config_generation.set(generation_);
  return true;
}

void Supervisor::make_workers() {
  const std::uint32_t wanted = settings_.workers == 0 ? usable_cpus() : settings_.workers;
  for (std::uint32_t i = 0; i < wanted; ++i) {
    std::uint64_t seed = 0;
    tls::fill_random({reinterpret_cast<std::uint8_t*>(&seed), sizeof seed});
    workers_.push_back(std::make_unique<Worker>(i, process_, seed));
  }
}

bool Supervisor::start_control() {
  auto control = ControlServer::open(settings_.admin.socket,
                                     [this](std::string verb) { return execute(std::move(verb)); });
  if (control) {
    control_ = std::move(*control);
    return true;
  }
  const log::Level level = settings_.admin.configured ? log::Level::error : log::Level::warn;
  log::Line(level) << "admin socket " << settings_.admin.socket << ": " << text_of(control.error());
  return !settings_.admin.configured;
}

void Supervisor::wait_resolved() {
  const TimePoint end = Clock::now() + kResolveWait;
  // Answers arrive on the resolver's thread; the loop has nothing to add.
  while (!upstreams_.all_resolved() && Clock::now() < end) std::this_thread::sleep_for(Duration(2));
}

bool Supervisor::open_logs(const Settings& settings, std::shared_ptr<LogWriter>& access_log,
                           std::string& problem) {
  const auto& wanted = settings.access_log;
  const bool same =
      access_log != nullptr && wanted.enabled && wanted.path == settings_.access_log.path;
  std::shared_ptr<LogWriter> writer = same ? access_log : nullptr;
  if (wanted.enabled && !same) {
    LogWriterOptions options;
    options.path = wanted.path;
    options.report = [](std::string_view text) { log::warn(text); };
    auto opened = LogWriter::open(std::move(options));
    if (!opened) {
      problem = "access_log " + wanted.path + ": " + text_of(opened.error());
      return false;
    }
    writer = std::move(*opened);
  }
  log::Options options;
  options.level = level_of(settings.log.level);
  options.path = settings.log.path;
  if (auto configured = log::configure(options); !configured) {
    problem = "log " + options.path + ": " + text_of(configured.error());
    return false;
  }
  access_log = std::move(writer);
  return true;
}

// Ports that the kernel chooses are written into the settings before anything is compiled, for
// redirects name them. What has a port of its own is bound last, when nothing else can refuse the
// configuration: nobody connects to a listener that is then closed again.
bool Supervisor::bind_new(Settings& settings, Ports ports,
                          std::map<std::string, BoundAddress>& fresh, std::string& problem) {
  for (auto& listener : settings.listeners) {
    const std::string identity = listener_identity(listener);
    const bool chosen = listener.address.path.empty() && listener.address.port == 0;
    if (fresh.contains(identity) || chosen != (ports == Ports::chosen)) continue;
    if (const auto known = bound_.find(identity); known != bound_.end()) {
      if (listener.address.port == 0) listener.address.port = known->second.port;
      continue;
    }
    auto bound =
        bind_address(listener.address, workers_.size(), !listens_on(listener.address.port, fresh));
    if (!bound) {
      problem = "listener " + listener.name + ": " + listener.address.text + ": " +
                text_of(bound.error());
      return false;
    }
    if (listener.address.port == 0) listener.address.port = bound->port;
    fresh.emplace(identity, std::move(*bound));
  }
  return true;
}

bool Supervisor::listens_on(std::uint16_t port,
                            const std::map<std::string, BoundAddress>& fresh) const {
  const auto same = [port](const auto& one) { return one.second.port == port; };
  return std::ranges::any_of(bound_, same) || std::ranges::any_of(fresh, same);
}

void Supervisor::install(std::map<std::string, BoundAddress> fresh) {
  std::map<std::string, Bound> bound;
  for (const auto& upstream : built_->upstreams) upstream.shared->apply();
  for (const auto& listener : built_->listeners) {
    const auto found = fresh.find(listener.identity);
    Bound& now = bound[listener.identity];
    now = found == fresh.end() ? bound_[listener.identity]
                               : Bound{found->second.where, found->second.port};
    if (found == fresh.end()) continue;
    log::Line(log::Level::info) << "listener " << listener.settings->name << ": listening on "
                                << now.where;
  }
  bound_ = std::move(bound);
  pending_ += workers_.size();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Installation installation;
    installation.plan = built_->plan;
    installation.streams = settings_.shutdown.streams;
    installation.access_log = access_log_;
    for (const auto& listener : built_->listeners) {
      const auto found = fresh.find(listener.identity);
      installation.listeners.push_back({listener.identity, listener.settings, listener.tls,
                                        found == fresh.end() ? nullptr : found->second.sockets[i]});
    }
    workers_[i]->install(std::move(installation), [this] { loop_.post([this] { installed(); }); });
  }
}

// A worker serves by the new configuration. Success is told when all do.
void Supervisor::installed() {
  if (--pending_ != 0) return;
  if (in_force_.empty()) return;
  for (const std::string& text : in_force_) log::info(text);
  in_force_.clear();
  notify_service_manager("READY=1");
}

void Supervisor::on_signal(int number) {
  if (number == SIGHUP) {
    reload();
  } else if (number == SIGUSR1) {
    reopen_logs();
  } else if (stopping_) {
    cut();
  } else {
    begin_stop();
  }
}

Task<Verdict> Supervisor::execute(std::string verb) {
  using Told = Task<Verdict>;
  if (verb == "reload") return reload_and_wait();
  if (verb == "drain") {
    begin_stop();
    return Told::settled(Verdict{true, "draining"});
  }
  if (verb == "stats") return Told::settled(Verdict{true, stats()});
  if (verb == "upgrade")
    return Told::settled(Verdict{false, "upgrade: not supported by this version"});
  return Told::settled(
      Verdict{false, "unknown verb '" + verb + "'; there are reload, drain and stats"});
}

// Whoever asked may rely on it: the answer comes when every worker has put the configuration in
// force.
Task<Verdict> Supervisor::reload_and_wait() {
  auto verdict = reload();
  while (pending_ != 0) {
    auto slept = co_await Sleep(Duration(1));
    if (slept != Code::none) break;
  }
  co_return verdict;
}

Verdict Supervisor::reload() {
  if (stopping_) return refuse("the process is stopping");
  if (!reload_) return refuse("there is no configuration file");
  notify_reloading();
  LoadResult loaded = reload_();
  if (!loaded.ok()) {
    log::lines(log::Level::error, loaded.report.text());
    auto verdict = refuse("the configuration has errors");
    verdict.text += "\n" + loaded.report.text();
    return verdict;
  }
  log::lines(log::Level::warn, loaded.report.text());
  auto verdict = apply(loaded.settings, "reload");
  if (verdict.ok) verdict.text += "\n" + loaded.report.text();
  return verdict;
}

// All or nothing: what can fail comes before what changes anything.
Verdict Supervisor::apply(Settings settings, const std::string& what) {
  std::map<std::string, BoundAddress> fresh;
  std::string problem;
  if (!bind_new(settings, Ports::chosen, fresh, problem)) return refuse(problem);
  auto next = std::make_unique<Built>(build(settings, built_.get(), tickets_, generation_ + 1));
  log::lines(log::Level::warn, joined(next->warnings));
  if (!next->errors.empty()) {
    log::lines(log::Level::error, joined(next->errors));
    auto verdict = refuse("the configuration cannot be served");
    verdict.text += "\n" + joined(next->errors);
    return verdict;
  }
  std::shared_ptr<LogWriter> access_log = access_log_;
  if (!bind_new(settings, Ports::fixed, fresh, problem)) return refuse(problem);
  if (!open_logs(settings, access_log, problem)) return refuse(problem);
  if (settings.workers != settings_.workers) log::warn("a change of workers needs a restart");
  if (!(settings.admin == settings_.admin)) log::warn("a change of admin needs a restart");
  retired_.push_back(built_->plan);
  built_ = std::move(next);
  settings_ = settings;
  access_log_ = std::move(access_log);
  ++generation_;
  upstreams_.resolve(built_->upstreams);
  wait_resolved();
  const std::string text = what + " " + std::to_string(generation_) + ": ok, " +
                           std::to_string(settings.routes.size()) + " routes";
  in_force_.push_back(text);
  install(std::move(fresh));
  upstreams_.check(built_->upstreams);
  watched_ = settling_ = signature_of(built_->watched);
  counts_.config_generation.set(generation_);
  counts_.reloads_ok.add();
  counts_.last_reload_failed.set(0);
  counts_.last_reload_time_s.set(static_cast<std::uint64_t>(std::time(nullptr)));
  // Whoever asked for it is to hear what is not as it should be.
  return {true, built_->warnings.empty() ? text : text + "\n" + joined(built_->warnings)};
}

Verdict Supervisor::refuse(const std::string& what) {
  counts_.reloads_failed.add();
  counts_.last_reload_failed.set(1);
  log::Line(log::Level::error) << "reload refused: " << what;
  notify_service_manager("READY=1");
  return {false, "reload refused: " + what};
}

void Supervisor::reopen_logs() {
  if (auto reopened = log::reopen(); !reopened)
    log::Line(log::Level::error) << "log: " << text_of(reopened.error());
  if (access_log_ == nullptr) return;
  if (auto reopened = access_log_->reopen(); !reopened) {
    log::Line(log::Level::error) << "access_log: " << text_of(reopened.error());
    return;
  }
  log::info("logs reopened");
}

void Supervisor::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  log::info("stopping: finishing what is under way");
  notify_service_manager("STOPPING=1");
  draining_ = workers_.size();
  drain_.arm(std::max(settings_.shutdown.drain, Duration(1)));
  for (auto& worker : workers_) {
    worker->drain([this] {
      loop_.post([this] {
        if (--draining_ == 0) loop_.stop();
      });
    });
  }
}

void Supervisor::cut() {
  if (!stopping_) return;
  log::warn("ending what is left");
  for (auto& worker : workers_) worker->cut();
}

void Supervisor::finish_stop() {
  signals_.reset();
  second_.disarm();
  drain_.disarm();
  for (auto& worker : workers_) worker->stop();
  workers_.clear();
  upstreams_.stop();
  if (control_ != nullptr) control_->stop();
  const TimePoint end = Clock::now() + kCutTime;
  while ((!upstreams_.stopped() || (control_ != nullptr && !control_->stopped())) &&
         Clock::now() < end)
    loop_.run_for(Duration(10));
  control_.reset();
  if (access_log_ != nullptr) access_log_->flush_and_stop(kSecond);
  access_log_.reset();
  log::info("stopped");
  log::stop(kSecond);
}

void Supervisor::every_second() {
  second_.arm(kSecond);
  ++seconds_;
  const std::uint64_t limit = settings_.limits.memory;
  const bool over = limit != 0 && resident_bytes() > limit;
  if (over != process_.shedding.load(std::memory_order_relaxed)) {
    process_.shedding.store(over, std::memory_order_relaxed);
    log::warn(over ? "limits.memory is exceeded: new requests are refused"
                   : "memory is below limits.memory again");
  }
  std::erase_if(retired_, [](const auto& plan) { return plan.use_count() == 1; });
  if (access_log_ != nullptr) counts_.access_log_dropped.set(access_log_->dropped_lines());
  counts_.log_dropped.set(log::dropped_lines());
  if (seconds_ % kWatchEverySeconds == 0 && !stopping_) watch_files();
}

// Certificates, keys and CAs are taken up when they change; the rest of the configuration waits for
// a reload.
void Supervisor::watch_files() {
  const std::string now = signature_of(built_->watched);
  if (now == watched_) {
    settling_ = now;
    return;
  }
  if (now != settling_) {
    settling_ = now;
    return;
  }
  watched_ = now;
  apply(settings_, "certificates");
}

std::string Supervisor::stats() const {
  std::vector<const metrics::WorkerCounts*> counts;
  for (const auto& worker : workers_) counts.push_back(&worker->counts());
  return metrics::to_json(metrics::sum(counts), counts_);
}

}  // namespace revproxyd::app
