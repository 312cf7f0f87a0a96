#include "http/h2/uptake_watch.h"

#include <algorithm>

namespace revproxyd::http::h2 {

namespace {

// Zero is no limit.
Duration longer(Duration one, Duration other) noexcept {
  const bool endless = one.count() <= 0 || other.count() <= 0;
  return endless ? Duration::zero() : std::max(one, other);
}

}  // namespace

UptakeWatch::Wait::Wait(UptakeWatch& watch, Waiter& waiter) noexcept
    : watch_(watch), waiter_(waiter) {
  waiter.next_ = watch.waiters_;
  waiter.previous_ = nullptr;
  if (waiter.next_ != nullptr) waiter.next_->previous_ = &waiter;
  watch.waiters_ = &waiter;
  watch.note_stall(waiter.uptake_rules().stall);
  if (watch.waiting_) watch.begin(waiter);
}

UptakeWatch::Wait::~Wait() {
  if (watch_.waiting_) watch_.count(waiter_);
  (waiter_.previous_ != nullptr ? waiter_.previous_->next_ : watch_.waiters_) = waiter_.next_;
  if (waiter_.next_ != nullptr) waiter_.next_->previous_ = waiter_.previous_;
}

void UptakeWatch::set_stall(Duration stall) noexcept {
  stall_ = carried_ = stall;
  note_stall(stall);
}

void UptakeWatch::note_stall(Duration stall) noexcept {
  period_ = std::min(period_, look_period(stall));
}

void UptakeWatch::carries(Duration stall) noexcept {
  carried_ = longer(carried_, stall);
  note_stall(stall);
}

void UptakeWatch::begin(Waiter& waiter) const noexcept {
  waiter.uptake_.wait_begins(left_, sent_ - waiter.mark_);
}

// The time; what has been taken shows when it is looked at.
void UptakeWatch::count(Waiter& waiter) const noexcept {
  waiter.uptake_.look(left_, sent_ - waiter.mark_, {});
}

void UptakeWatch::wait_begins(std::optional<std::size_t> left, std::uint64_t sent) noexcept {
  waiting_ = true;
  left_ = left;
  sent_ = sent;
  uptake_.wait_begins(left, sent);
  for (Waiter* one = waiters_; one != nullptr; one = one->next_) begin(*one);
}

void UptakeWatch::wait_ends() noexcept {
  waiting_ = false;
  for (Waiter* one = waiters_; one != nullptr; one = one->next_) count(*one);
}

bool UptakeWatch::look(std::optional<std::size_t> left) noexcept {
  left_ = left;
  Duration longest = carried_;
  for (Waiter* one = waiters_; one != nullptr; one = one->next_) {
    const UptakeRules rules = one->uptake_rules();
    longest = longer(longest, rules.stall);
    const auto verdict = one->uptake_.look(left, sent_ - one->mark_, rules);
    if (verdict != Uptake::Verdict::fine) one->on_slow(verdict);
  }
  return uptake_.look(left, sent_, {longest}) == Uptake::Verdict::fine;
}

}  // namespace revproxyd::http::h2
