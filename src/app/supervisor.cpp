#include "app/supervisor.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include "app/command_line.h"
#include "app/descriptors.h"
#include "app/memory.h"
#include "app/notify.h"
#include "app/status.h"
#include "revproxyd/base/log.h"
#include "revproxyd/base/slab.h"
#include "revproxyd/tls/random.h"

namespace revproxyd::app {

namespace {

constexpr Duration kSecond{1000};
// For what a former access log still holds. Long enough for any disk that works.
constexpr Duration kPartingTime{1000};
// How long the start waits for names; a server whose name is still unknown then is just not ready
// yet.
constexpr Duration kResolveWait{2000};
// How long whoever asks for a reload waits for workers that do not take it up.
constexpr Duration kInForceTime{10'000};
// How long a reload waits for workers that have yet to take up the one before it.
constexpr Duration kTakeUpTime{3000};
// Signals that are closer than this are told together.
constexpr Duration kSignalsTogether{50};
constexpr std::size_t kWatchEverySeconds = 2;

std::uint32_t usable_cpus() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
}

// `more`, if there is any, on lines of its own.
void add_lines(std::string& text, std::string_view more) {
  if (more.empty()) return;
  if (!text.ends_with('\n')) text += '\n';
  text += more;
}

std::string joined(const std::vector<config::Finding>& findings) {
  std::string text;
  for (const auto& finding : findings) text += config::said(finding) + "\n";
  return text;
}

// Of a worker: its thread, or what its loop is made of.
std::string shortage(const std::system_error& problem) {
  if (problem.code() == std::errc::resource_unavailable_try_again)
    return " its thread: " + problem.code().message();
  const bool descriptors = problem.code() == std::errc::too_many_files_open;
  return std::string(": ") + problem.what() + (descriptors ? " (LimitNOFILE)" : "");
}

// What a restart alone changes stays as it was at the start, so that each reload tells of it.
void keep_what_runs(Settings& settings, const Settings& running) {
  if (settings.workers != running.workers) log::warn("a change of workers needs a restart");
  if (!(settings.admin == running.admin)) log::warn("a change of admin needs a restart");
  settings.workers = running.workers;
  settings.admin = running.admin;
}

}  // namespace

Supervisor::Supervisor(Launch launch)
    : launch_(std::move(launch)),
      tickets_(std::make_shared<tls::TicketKeys>()),
      upgrade_(launch_.program),
      second_(*this, &Supervisor::every_second),
      drain_(*this, &Supervisor::drain_time_over),
      failure_(kExitStartFailed) {}

Supervisor::~Supervisor() = default;

int Supervisor::run(const Settings& settings) {
  if (!start_held(settings)) {
    if (launch_.successor != nullptr) launch_.successor->fail(problem_);
    finish_stop();
    return failure_;
  }
  begin_service();
  loop_.run();
  finish_stop();
  return kExitOk;
}

// Clients are served before the start is over: a signal that comes meanwhile must not end them.
bool Supervisor::start_held(const Settings& settings) {
  constexpr std::array own{SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
  const net::SignalHold hold(own);
  try {
    if (!start(settings)) return false;
    signals_ =
        std::make_unique<net::Signals>(loop_, own, [this](int number) { on_signal(number); });
  } catch (const std::exception& problem) {
    // Workers that have been made must be ended.
    return start_failed(text_of(problem));
  }
  return true;
}

bool Supervisor::start_failed(const std::string& problem) {
  log::lines(log::Level::error, problem);
  // Whoever started it looks here, and not for a file.
  if (settings_.log.path != "stderr") std::fprintf(stderr, "revproxyd: %s\n", problem.c_str());
  problem_ = problem;
  return false;
}

bool Supervisor::start(const Settings& settings) {
  std::string problem;
  OpenLogs logs;
  if (!open_logs(settings, settings_, nullptr, logs, problem)) return start_failed(problem);
  access_log_.replace(use_logs(settings, std::move(logs)));
  settings_ = settings;
  if (launch_.successor != nullptr) {
    tickets_->adopt(launch_.successor->take_tickets());
    upstreams_.inherit(launch_.successor->take_addresses(), launch_.successor->take_down());
  }
  if (!make_workers()) return false;
  sockets_ = std::make_unique<ListeningSockets>(std::move(launch_.inherited), workers_.size());
  // Before a listener takes it for its own, whose name it may have from who handed it over.
  auto control = sockets_->take_admin(settings_.admin.socket);
  ListeningSockets::Fresh fresh;
  using Ports = ListeningSockets::Ports;
  constexpr auto kLost = ListeningSockets::Lost::made_anew;
  if (!sockets_->bind(settings_, Ports::chosen, kLost, fresh, problem))
    return start_failed(problem);
  built_ = std::make_unique<Built>(build(settings_, nullptr, tickets_, ++generation_));
  log::lines(log::Level::warn, joined(built_->warnings));
  if (!built_->errors.empty()) return start_failed(joined(built_->errors));
  if (launch_.strict && !built_->warnings.empty()) {
    failure_ = kExitWarnings;
    return start_failed("--strict: the configuration has warnings");
  }
  if (!sockets_->bind(settings_, Ports::fixed, kLost, fresh, problem)) return start_failed(problem);
  upstreams_.resolve(built_->upstreams);
  wait_resolved();
  return start_control(std::move(control)) && put_in_force_first(std::move(fresh));
}

// Nothing but this can be undone no more: from here on clients are served.
bool Supervisor::put_in_force_first(ListeningSockets::Fresh fresh) {
  if (launch_.successor != nullptr && !launch_.successor->may_accept())
    return start_failed("the predecessor has given the upgrade up");
  install(std::move(fresh));
  while (pending_ != 0) loop_.run_for(kSecond);
  upstreams_.check(built_->upstreams);
  files_.watch(built_->watched, built_->watched_signature, built_->kept, Clock::now());
  counts_.config_generation.set(generation_);
  return true;
}

void Supervisor::begin_service() {
  if (launch_.successor != nullptr) {
    launch_.successor->serves(sockets_->dropped());
    // They may have been renamed since the start; the signal went to the predecessor.
    reopen_logs(access_log_.writer().get());
    launch_.successor.reset();
  }
  phase_ = Phase::serving;
  process_.passing_on.store(true);
  second_.arm(kSecond);
  watchdog_ = std::make_unique<Watchdog>(workers_);
  if (const auto shortage = descriptor_shortage(settings_, workers_.size()); !shortage.empty())
    log::info(shortage);
  log::info("ready");
  tell_ready();
  watchdog_->start();
}

bool Supervisor::make_workers() {
  const std::uint32_t wanted = settings_.workers == 0 ? usable_cpus() : settings_.workers;
  for (std::uint32_t i = 0; i < wanted; ++i) {
    std::uint64_t seed = 0;
    tls::fill_random({reinterpret_cast<std::uint8_t*>(&seed), sizeof seed});
    try {
      workers_.push_back(std::make_unique<Worker>(i, process_, seed));
    } catch (const std::system_error& problem) {
      return start_failed("worker-" + std::to_string(i) + ": cannot start" + shortage(problem));
    }
    process_.workers.push_back(workers_.back().get());
  }
  return true;
}

bool Supervisor::start_control(InheritedAdmin inherited) {
  const std::string& path = settings_.admin.socket;
  auto control = ControlServer::open(path, std::move(inherited),
                                     [this](std::string verb) { return execute(std::move(verb)); });
  if (control) {
    control_ = std::move(*control);
    return true;
  }
  const std::string problem = "admin socket " + path + ": " + text_of(control.error());
  if (settings_.admin.configured) return start_failed(problem);
  log::warn(problem);
  if (!launch_.strict) return true;
  failure_ = kExitWarnings;
  return start_failed("--strict: the admin socket cannot be made");
}

void Supervisor::wait_resolved() {
  const TimePoint end = Clock::now() + kResolveWait;
  // Answers arrive on the resolver's thread; the loop has nothing to add.
  while (!upstreams_.all_resolved() && Clock::now() < end) std::this_thread::sleep_for(Duration(2));
  // Nor does a check come too late for what a reload has held up until here.
  TimerWheel::current().excuse_until(Clock::now());
}

void Supervisor::install(ListeningSockets::Fresh fresh) {
  for (const auto& upstream : built_->upstreams) upstream.shared->apply();
  sockets_->put_in_force(built_->listeners, fresh);
  pending_ += workers_.size();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Installation installation;
    installation.plan = built_->plan;
    installation.streams = settings_.shutdown.streams;
    installation.access_log = access_log_.writer();
    installation.generation = generation_;
    for (const auto& listener : built_->listeners) {
      const auto found = fresh.find(listener.identity);
      ListenerInstall& one = installation.listeners.emplace_back(
          ListenerInstall{listener.identity, listener.settings, listener.tls, {}});
      if (found == fresh.end()) continue;
      one.sockets = found->second.of_workers[i];
      one.held = found->second.held;
    }
    workers_[i]->install(std::move(installation), [this] { loop_.post([this] { installed(); }); });
  }
}

// A worker serves by the new configuration. Success is told when all do.
void Supervisor::installed() {
  if (--pending_ != 0) return;
  access_log_.let_go(kPartingTime);
  if (in_force_.empty()) return;
  for (const std::string& text : in_force_) log::info(text);
  in_force_.clear();
  if (phase_ == Phase::serving) tell_ready();  // else the manager has heard more than of a reload
}

void Supervisor::on_signal(int number) {
  if (number == SIGHUP) {
    if (!std::exchange(reload_asked_, true)) jobs_.spawn(reload_by_signal());
  } else if (number == SIGUSR1) {
    reopen_logs(access_log_.writer().get());
  } else if (number == SIGUSR2) {
    jobs_.spawn(upgrade_by_signal());
  } else if (phase_ != Phase::stopping) {
    begin_stop();
  } else if (number != SIGTERM || !hurried_) {
    // After an upgrade systemd asks twice: all processes at first, and who is left when the new one
    // has ended.
    cut();
  }
}

// Those that came while the thread was in a reload are told one by one: they are answered together,
// and a stop among them goes first. Any reload that begins behind them answers them.
Task<void> Supervisor::reload_by_signal() {
  auto slept = co_await Sleep(kSignalsTogether);
  if (slept != Code::none) co_return;
  auto free = co_await none_left(pending_, kTakeUpTime);
  ignore(free, "it may still find all that it needs");
  if (reload_asked_ && phase_ != Phase::stopping) reload();
}

Task<Verdict> Supervisor::execute(std::string verb) {
  using Told = Task<Verdict>;
  if (phase_ == Phase::starting) return Told::settled(Verdict{false, "the process is starting"});
  if (verb == "reload") return reload_and_wait();
  if (verb == "upgrade") return upgrade();
  if (verb == "drain") {
    begin_stop();
    return Told::settled(Verdict{true, "draining"});
  }
  if (verb == "stats") return Told::settled(Verdict{true, stats()});
  if (verb == "status") {
    const StatusView view{phase_word(), generation_, started_, workers_, sockets_->open(), *built_};
    return Told::settled(Verdict{true, status_text(view)});
  }
  return Told::settled(Verdict{false, "unknown verb '" + verb + "'; there are " + verbs()});
}

// False when workers are left of `count` after `patience`.
Task<bool> Supervisor::none_left(const std::size_t& count, Duration patience) {
  const TimePoint end = Clock::now() + patience;
  while (count != 0) {
    if (Clock::now() >= end) co_return false;
    auto slept = co_await Sleep(Duration(1));
    if (slept != Code::none) break;
  }
  co_return true;
}

// Whoever asked may rely on it: the answer comes when every worker has put the configuration in
// force. Before the last one has closed what the reload before took away, an address of that could
// not be bound again.
Task<Verdict> Supervisor::reload_and_wait() {
  auto free = co_await none_left(pending_, kTakeUpTime);
  ignore(free, "it may still find all that it needs");
  auto verdict = reload();
  if (!verdict.ok) co_return verdict;
  const std::string number = std::to_string(generation_);
  auto in_force = co_await none_left(pending_, kInForceTime);
  if (in_force) co_return verdict;
  verdict = {false, "reload " + number + ": a worker stands still, and has yet to take it up"};
  log::error(verdict.text);
  if (phase_ == Phase::serving) tell_ready();
  co_return verdict;
}

Verdict Supervisor::reload() {
  reload_asked_ = false;
  if (phase_ == Phase::upgrading) return refuse("an upgrade is under way");
  if (phase_ != Phase::serving) return refuse("the process is stopping");
  if (!launch_.load) return refuse("there is no configuration file");
  notify_reloading("reloading");
  return attempt(Cause::reload);
}

// Where memory is short the old configuration serves on, as when the new one is wrong.
Verdict Supervisor::attempt(Cause cause) {
  try {
    return cause == Cause::reload ? load_and_apply() : apply(settings_, cause);
  } catch (const std::exception& problem) {
    return refuse(text_of(problem), cause);
  }
}

Verdict Supervisor::load_and_apply() {
  LoadResult loaded = launch_.load();
  const std::string findings = loaded.report.text();
  if (!loaded.ok()) {
    log::lines(log::Level::error, findings);
    auto verdict = refuse("the configuration has errors");
    add_lines(verdict.text, findings);
    return verdict;
  }
  log::lines(log::Level::warn, findings);
  auto verdict = apply(std::move(loaded.settings), Cause::reload);
  if (verdict.ok) add_lines(verdict.text, findings);
  return verdict;
}

// All or nothing: what can fail comes before what changes anything.
Verdict Supervisor::apply(Settings settings, Cause cause) {
  ListeningSockets::Fresh fresh;
  using Ports = ListeningSockets::Ports;
  using Lost = ListeningSockets::Lost;
  // A socket that cannot be made anew is no reason to serve certificates until they expire.
  const Lost lost = cause == Cause::reload ? Lost::made_anew : Lost::left;
  std::string problem;
  if (!sockets_->bind(settings, Ports::chosen, lost, fresh, problem)) return refuse(problem, cause);
  auto next = std::make_unique<Built>(build(settings, built_.get(), tickets_, generation_ + 1));
  log::lines(log::Level::warn, joined(next->warnings));
  if (!next->errors.empty()) {
    const std::string findings = joined(next->errors);
    log::lines(log::Level::error, findings);
    auto verdict = refuse("the configuration cannot be served", cause);
    add_lines(verdict.text, findings);
    return verdict;
  }
  OpenLogs logs;
  if (!open_logs(settings, settings_, access_log_.writer(), logs, problem))
    return refuse(problem, cause);
  if (!sockets_->bind(settings, Ports::fixed, lost, fresh, problem)) return refuse(problem, cause);
  return put_in_force(std::move(settings), cause,
                      {std::move(next), std::move(logs), std::move(fresh)});
}

// An exception in here ends the process: what would serve on is neither the old nor the new.
Verdict Supervisor::put_in_force(Settings settings, Cause cause, Prepared prepared) noexcept {
  keep_what_runs(settings, settings_);
  if (control_ != nullptr) {
    if (auto restored = control_->restore(); !restored)
      log::warn("admin socket " + settings.admin.socket + ": " + text_of(restored.error()));
  }
  retired_.push_back(built_->plan);
  built_ = std::move(prepared.built);
  settings_ = std::move(settings);
  access_log_.replace(use_logs(settings_, std::move(prepared.logs)));
  ++generation_;
  upstreams_.resolve(built_->upstreams);
  wait_resolved();
  const bool failed = cause == Cause::certificates && built_->kept;
  const std::string text = std::string(word(cause)) + " " + std::to_string(generation_) +
                           (failed ? ": kept what could not be replaced, " : ": ok, ") +
                           std::to_string(settings_.routes.size()) + " routes";
  in_force_.push_back(text);
  install(std::move(prepared.fresh));
  upstreams_.check(built_->upstreams);
  files_.watch(built_->watched, built_->watched_signature, built_->kept, Clock::now());
  counts_.config_generation.set(generation_);
  count(cause, !failed);
  // Whoever asked for it is to hear what is not as it should be.
  Verdict verdict{true, text};
  add_lines(verdict.text, joined(built_->warnings));
  return verdict;
}

Verdict Supervisor::refuse(const std::string& why, Cause cause) {
  TimerWheel::current().excuse_until(Clock::now());
  count(cause, false);
  const std::string text = std::string(word(cause)) + " refused: " + why;
  log::error(text);
  if (phase_ == Phase::serving) tell_ready();
  return {false, text};
}

std::string_view Supervisor::word(Cause cause) noexcept {
  return cause == Cause::reload ? "reload" : "certificates";
}

// Whether what was asked for is in force is not to be covered by what comes by itself.
void Supervisor::count(Cause cause, bool ok) {
  if (cause == Cause::certificates) {
    (ok ? counts_.certificate_updates_ok : counts_.certificate_updates_failed).add();
    return;
  }
  (ok ? counts_.reloads_ok : counts_.reloads_failed).add();
  counts_.last_reload_failed.set(ok ? 0 : 1);
  if (ok) counts_.last_reload_time_s.set(static_cast<std::uint64_t>(std::time(nullptr)));
}

void Supervisor::every_second() {
  second_.arm(kSecond);
  ++seconds_;
  watch_memory(settings_.limits.memory, process_.shedding);
  upstreams_.retry();
  upgrade_.bury();
  const bool shedding = process_.shedding.load(std::memory_order_relaxed);
  for (const auto& worker : workers_) shedding ? worker->trim() : worker->scavenge();
  process_.freed.add(slab::scavenge());
  process_.freed.give_back();
  std::erase_if(retired_, [](const auto& plan) { return plan.use_count() == 1; });
  counts_.access_log_dropped.set(access_log_.dropped_lines());
  counts_.log_dropped.set(log::dropped_lines());
  if (ready_untold_ && pending_ == 0 && phase_ == Phase::serving) tell_ready(Urgency::passing);
  if (seconds_ % kWatchEverySeconds == 0 && phase_ == Phase::serving) watch_files();
}

// Certificates, keys and CAs are taken up when they change; the rest of the configuration waits for
// a reload.
void Supervisor::watch_files() {
  sockets_->look_for_files();
  if (control_ != nullptr) control_->look_for_file();
  if (files_.look(Clock::now()) && !attempt(Cause::certificates).ok) files_.refused(Clock::now());
}

std::string_view Supervisor::phase_word() const noexcept {
  switch (phase_) {
    case Phase::starting: return "starting";
    case Phase::serving: return "serving";
    case Phase::upgrading: return "upgrading";
    case Phase::handed_over: return "finishing after an upgrade";
    case Phase::stopping: return "stopping";
  }
  return "";
}

// Without the word a manager that was busy would end a service that serves, at the end of its
// start-up time or of that of a reload: every second it is told again.
void Supervisor::tell_ready(Urgency urgency) {
  const std::string status = "STATUS=" + std::string(phase_word()) + ": configuration " +
                             std::to_string(generation_) + ", " + std::to_string(workers_.size()) +
                             " workers, " + std::to_string(built_->listeners.size()) + " listeners";
  ready_untold_ =
      !notify_service_manager("READY=1", urgency) || !notify_service_manager(status, urgency);
}

std::string Supervisor::stats() const {
  std::vector<const metrics::WorkerCounts*> counts;
  std::vector<metrics::LoopView> loops;
  const TimePoint now = Clock::now();
  for (const auto& worker : workers_) {
    counts.push_back(&worker->counts());
    loops.push_back(worker->loop_view(now));
  }
  return metrics::to_json(metrics::sum(counts), counts_, loops);
}

}  // namespace revproxyd::app
