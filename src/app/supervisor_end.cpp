// How the main thread hands over to a successor, and how it stops.

#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "app/command_line.h"
#include "app/notify.h"
#include "app/supervisor.h"
#include "revproxyd/base/log.h"

namespace revproxyd::app {

namespace {

// For the last lines of each log.
constexpr Duration kLastLines{1000};
// After the drain time the rest is cut, and given this long to notice.
constexpr Duration kCutTime{3000};
// How long whoever asks for an upgrade waits for workers that do not close.
constexpr Duration kCloseTime{3000};
// How long a successor that accepts already may take to say that it does.
constexpr Duration kLastStep{3000};

}  // namespace

// What runs goes on undisturbed until another process serves.
Task<Verdict> Supervisor::upgrade() {
  Verdict verdict{false, "upgrade refused: the process is stopping"};
  if (phase_ == Phase::upgrading) verdict.text = "upgrade refused: an upgrade is under way";
  if (phase_ == Phase::serving && ::getpid() == 1)
    verdict.text = "upgrade refused: process 1 of a container cannot be replaced";
  if (phase_ != Phase::serving || ::getpid() == 1) {
    log::error(verdict.text);
    co_return verdict;
  }
  phase_ = Phase::upgrading;
  log::Line(log::Level::info) << "upgrade: starting " << launch_.program.path;
  notify_reloading("upgrading the binary");
  Estate estate{sockets_->all(), tickets_->entries(), upstreams_.known(), upstreams_.down()};
  if (control_ != nullptr && control_->fd() >= 0)
    estate.sockets.emplace_back(control_->label(), control_->fd());
  auto running = upgrade_.run(std::move(estate), settings_.shutdown.upgrade);
  auto scoped = std::move(running).under(jobs_.scope());  // a stop ends it
  auto outcome = co_await std::move(scoped);
  if (outcome.successor > 0) {
    hand_over(outcome);
    // Whoever connects after the verdict meets the new process.
    auto closed = co_await none_left(accepting_, kCloseTime);
    verdict.ok = true;
    verdict.text = "upgraded: process " + std::to_string(outcome.successor) + " serves";
    if (!closed) {
      verdict.text += "; process " + std::to_string(::getpid()) +
                      " has a worker that stands still, and does not finish";
      log::warn(verdict.text);
    }
    co_return verdict;
  }
  verdict.text = "upgrade refused: " + outcome.problem;
  log::lines(log::Level::error, verdict.text);
  if (phase_ == Phase::stopping) drain();
  if (phase_ == Phase::upgrading) {
    phase_ = Phase::serving;
    tell_ready();
  }
  co_return verdict;
}

Task<void> Supervisor::upgrade_by_signal() {
  auto verdict = co_await upgrade();
  ignore(verdict, "the log has it");
}

// Whoever watches this process hears of the new one before that says anything itself.
void Supervisor::hand_over(const Upgrade::Outcome& outcome) {
  const pid_t successor = outcome.successor;
  const std::set<std::string> taken = sockets_->taken(outcome.left);
  const bool stopping = phase_ == Phase::stopping;
  const std::string text = "process " + std::to_string(successor) + " serves";
  notify_service_manager("MAINPID=" + std::to_string(successor) + "\nREADY=1\nSTATUS=" + text,
                         Urgency::vital);
  watchdog_->leave_manager();
  log::Line(log::Level::info) << "upgraded: " << text << ", finishing what is under way";
  if (!stopping) phase_ = Phase::handed_over;
  if (control_ != nullptr) control_->hand_over();
  sockets_->close();
  upgrade_.release();
  process_.passing_on.store(false);
  accepting_ = workers_.size();
  for (auto& worker : workers_) {
    draining_.push_back(worker.get());
    worker->hand_over(
        taken, [this] { loop_.post([this] { --accepting_; }); }, drained(*worker));
  }
  if (stopping) return hurry();
  drain_.arm(std::max(settings_.shutdown.drain, Duration(1)));
}

// What a worker calls when nothing is left on it; the loop ends with the last one.
std::function<void()> Supervisor::drained(const Worker& worker) {
  return [this, &worker] {
    loop_.post([this, &worker] {
      std::erase(draining_, &worker);
      if (draining_.empty()) loop_.stop();
    });
  };
}

// While a successor starts it is to be known first who takes what waits in the sockets of both; one
// that accepts already has clients, and is not ended.
void Supervisor::begin_stop() {
  if (phase_ == Phase::stopping) return;
  const Phase before = std::exchange(phase_, Phase::stopping);
  log::info("stopping: finishing what is under way");
  if (before != Phase::handed_over)
    notify_service_manager("STOPPING=1\nSTATUS=stopping: finishing what is under way");
  drain_.arm(std::max(settings_.shutdown.drain, upgrade_.committed() ? kLastStep : Duration(1)));
  if (!upgrade_.committed()) jobs_.cancel(Code::shutdown);
  if (before == Phase::handed_over) hurry();
  if (before == Phase::serving) drain();
}

void Supervisor::drain() {
  sockets_->close();
  process_.passing_on.store(false);
  for (auto& worker : workers_) {
    draining_.push_back(worker.get());
    worker->drain(drained(*worker));
  }
}

void Supervisor::hurry() {
  hurried_ = true;
  for (auto& worker : workers_) worker->hurry();
}

// After an upgrade clients have had this time to be told; what runs has shutdown.streams.
void Supervisor::drain_time_over() {
  const ShutdownSettings& times = settings_.shutdown;
  if (cut_) return give_up();
  if (phase_ != Phase::handed_over || hurried_) return cut();
  hurry();
  if (times.streams == Duration::zero()) return;
  drain_.arm(std::max(times.streams - times.drain, Duration(1)));
}

void Supervisor::cut() {
  if (std::exchange(cut_, true)) return;
  log::warn("ending what is left");
  jobs_.cancel(Code::shutdown);
  for (auto& worker : workers_) worker->cut();
  drain_.arm(kCutTime);
}

// Waiting longer would be of no use to anybody.
void Supervisor::give_up() {
  for (const Worker* worker : draining_)
    log::Line(log::Level::error) << worker->thread_name() << ": does not end, and is left behind";
  loop_.stop();
}

// Each worker may have had a queue of its own for the listener.
void Supervisor::tell_lost_queues() const {
  std::set<std::string> names;
  for (const auto& worker : workers_) {
    if (std::ranges::find(draining_, worker.get()) == draining_.end())
      names.insert(worker->lost_queues().begin(), worker->lost_queues().end());
  }
  for (const std::string& name : names)
    log::Line(log::Level::warn) << "listener " << name << ": closed with clients in its queue";
}

void Supervisor::finish_stop() {
  signals_.reset();
  watchdog_.reset();
  second_.disarm();
  drain_.disarm();
  jobs_.cancel(Code::shutdown);
  for (auto& worker : workers_) worker->stop();
  for (auto& worker : workers_) {
    if (std::ranges::find(draining_, worker.get()) == draining_.end()) worker->join();
  }
  tell_lost_queues();
  const bool complete = draining_.empty();
  if (complete) workers_.clear();
  // A start that failed late has bound all the same.
  if (sockets_ != nullptr) sockets_->close();
  upstreams_.stop();
  if (control_ != nullptr) control_->stop();
  const TimePoint end = Clock::now() + kCutTime;
  while ((!upstreams_.stopped() || jobs_.size() != 0 ||
          (control_ != nullptr && !control_->stopped())) &&
         Clock::now() < end)
    loop_.run_for(Duration(10));
  control_.reset();
  access_log_.replace(nullptr);
  access_log_.let_go(kLastLines);
  log::info("stopped");
  log::stop(kLastLines);
  // A thread that stands still cannot be joined, and nothing may be taken from under it, the other
  // workers neither.
  if (!complete) ::_exit(kExitOk);
}

}  // namespace revproxyd::app
