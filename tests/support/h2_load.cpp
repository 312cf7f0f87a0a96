#include "tests/support/h2_load.h"

namespace revproxyd::testing {

namespace {

constexpr std::size_t kShown = 2000;

std::string described(std::uint32_t stream, const H2Message& message) {
  std::string out = "stream " + std::to_string(stream);
  if (message.has_head()) out += ", status " + message.field(":status") + " " + message.body;
  if (message.reset) out += ", reset " + std::to_string(*message.reset);
  return out;
}

}  // namespace

H2Load::H2Load(std::vector<H2LoadPlan> plans) : plans_(std::move(plans)), running_(plans_.size()) {
  for (const H2LoadPlan& plan : plans_) {
    threads_.emplace_back([this, &plan] {
      run(plan);
      --running_;
    });
  }
}

void H2Load::stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void H2Load::fail(const std::string& why) {
  ++failed_;
  const std::lock_guard lock(mutex_);
  if (failures_.size() < kShown) failures_ += why + "\n";
}

std::string H2Load::report() const {
  const std::lock_guard lock(mutex_);
  return failures_ + std::to_string(done_) + " done, " + std::to_string(failed_) + " failed, " +
         std::to_string(refused_) + " refused, " + std::to_string(connections_) +
         " connections, GOAWAY on " + std::to_string(goaways_);
}

bool H2Load::wait_more(std::size_t count) const {
  const std::size_t wanted = done_ + count;
  return wait_until([&] { return done_ >= wanted; }, 3 * kPatience);
}

void H2Load::run(const H2LoadPlan& plan) {
  while (!stopping_) {
    auto client = connect(plan);
    if (client) {
      ++connections_;
      converse(*client, plan);
    } else if (plan.until_gone) {
      return;
    }
  }
}

std::optional<H2Client> H2Load::connect(const H2LoadPlan& plan) {
  try {
    if (plan.tls) return std::optional<H2Client>(std::in_place, plan.port, *plan.tls);
    return std::optional<H2Client>(std::in_place, plan.port);
  } catch (const std::exception& problem) {
    if (!plan.until_gone) fail(std::string("connect: ") + problem.what());
    return std::nullopt;
  }
}

void H2Load::converse(H2Client& client, const H2LoadPlan& plan) {
  Streams open;
  std::size_t asked = 0;
  std::string why = "the connection ended";
  try {
    for (;;) {
      const auto more = [&] {
        return !stopping_ && !client.state().goaway() && open.size() < plan.depth &&
               (plan.requests == 0 || asked < plan.requests);
      };
      for (; more(); ++asked) ask(client, plan, open);
      if (open.empty() || !client.read_frame()) break;
      settle(client.state(), open);
    }
  } catch (const std::exception& problem) {
    why = problem.what();
    // What cannot send may still have something to read.
    client.closes();
    settle(client.state(), open);
  }
  if (client.state().goaway()) ++goaways_;
  give_up(client.state(), open, why);
}

void H2Load::ask(H2Client& client, const H2LoadPlan& plan, Streams& open) {
  const bool post = !plan.body.empty();
  const std::uint32_t stream = client.open(client.fields(post ? "POST" : "GET", plan.path), !post);
  open.insert(stream);
  if (post) client.send_body(stream, plan.body);
}

void H2Load::settle(const H2State& state, Streams& open) {
  std::erase_if(open, [&](std::uint32_t stream) {
    const H2Message& message = state.message(stream);
    if (message.ended && message.status() == 200) {
      ++done_;
      return true;
    }
    // GOAWAY may come behind it.
    if (message.reset == h2::kRefusedStream && !message.has_head()) return false;
    if (!message.ended && !message.reset) return false;
    fail(described(stream, message));
    return true;
  });
}

void H2Load::give_up(const H2State& state, const Streams& open, const std::string& why) {
  for (const std::uint32_t stream : open) {
    const bool untaken =
        !state.settings_came() || (state.goaway() && stream > state.goaway()->last);
    if (untaken) {
      ++refused_;
    } else {
      fail(described(stream, state.message(stream)) + ": " + why);
    }
  }
}

}  // namespace revproxyd::testing
