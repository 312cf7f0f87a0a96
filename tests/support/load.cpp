#include "tests/support/load.h"

#include "tests/support/raw_client.h"

namespace revproxyd::testing {

namespace {

constexpr std::size_t kShown = 2000;

RawClient connected(const LoadPlan& plan) {
  return plan.tls ? RawClient(plan.port, *plan.tls) : RawClient(plan.port);
}

}  // namespace

Load::Load(std::vector<LoadPlan> plans) : plans_(std::move(plans)) {
  for (const LoadPlan& plan : plans_) threads_.emplace_back([this, &plan] { run(plan); });
}

void Load::stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Load::fail(const std::string& why) {
  ++failed_;
  const std::lock_guard lock(mutex_);
  if (failures_.size() < kShown) failures_ += why + "\n";
}

void Load::run(const LoadPlan& plan) {
  std::optional<RawClient> client;
  while (!stopping_) {
    try {
      if (!client) client.emplace(connected(plan));
      const Response response = client->get(plan.path);
      ++done_;
      if (response.status != 200)
        fail("status " + std::to_string(response.status) + " " + response.body);
      if (!plan.keep || equal_ignoring_case(response.field("Connection"), "close")) client.reset();
    } catch (const std::exception& problem) {
      fail(problem.what());
      client.reset();
    }
  }
}

std::string Load::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

bool Load::wait_more(std::size_t count) const {
  const std::size_t wanted = done_ + count;
  return wait_until([&] { return done_ >= wanted; });
}

}  // namespace revproxyd::testing
