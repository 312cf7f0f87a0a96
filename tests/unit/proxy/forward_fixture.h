#pragma once
// Forward over loopback servers, with a client in memory.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_runner.h"
#include "tests/unit/proxy/loop_origin.h"
#include "tests/unit/proxy/spine_fixture.h"

namespace revproxyd::proxy::testing {

inline constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

inline std::string ok(std::string_view text) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" +
         std::string(text);
}
inline std::string status(int code) {
  return "HTTP/1.1 " + std::to_string(code) + " Some\r\nContent-Length: 0\r\n\r\n";
}
inline std::string with_body(std::string_view method, std::size_t length, std::string_view body) {
  return std::string(method) +
         " /x HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n" +
         std::string(body);
}

class ForwardTest : public ::testing::Test {
 protected:
  ForwardTest() {
    settings_.name = "u";
    settings_.balance.method = upstream::BalanceMethod::first;
  }
  void TearDown() override {
    tasks_.cancel(Code::cancelled);
    EXPECT_TRUE(runner_.run_until([this] { return tasks_.size() == 0; }));
  }

  void open(std::vector<LoopOrigin*> origins) {
    for (LoopOrigin* origin : origins) settings_.servers.push_back(origin->server());
    shared_ = shared_of(settings_, nullptr);
    spine_.emplace(plan_of({forward_route("r", {"/**"}, "u")}),
                   std::vector<PlanUpstream>{{shared_, nullptr}});
  }
  static std::shared_ptr<upstream::Shared> shared_of(const upstream::UpstreamSettings& settings,
                                                     upstream::Shared* previous) {
    auto shared = std::make_shared<upstream::Shared>(settings, previous);
    for (const auto& endpoint : shared->endpoints()) {
      auto list = std::make_shared<upstream::AddressList>();
      list->push_back(*net::Address::ip(endpoint->url().host, endpoint->url().port));
      endpoint->set_addresses(std::move(list));
    }
    return shared;
  }
  void request(std::string_view bytes) {
    if (tasks_.size() == 0) tasks_.spawn(spine_->serve(client_));
    client_.send(bytes);
  }
  /// Waits for so many answers since the last call.
  std::vector<Answer> answers(std::size_t count) {
    std::vector<Answer> out;
    EXPECT_TRUE(runner_.run_until([&] {
      return spine_->counts().requests_active.value() == 0 && enough(count);
    })) << client_.received();
    return answers_in(client_.take_received());
  }
  Answer answer_to(std::string_view bytes) {
    request(bytes);
    auto got = answers(1);
    return got.empty() ? Answer() : got[0];
  }
  template <typename Condition>
  void await(Condition condition) {
    ASSERT_TRUE(runner_.run_until(condition)) << client_.received();
  }
  bool enough(std::size_t count) const {
    std::size_t heads = 0;
    for (std::size_t at = 0; (at = client_.received().find("HTTP/1.1 ", at)) != std::string::npos;
         ++at)
      ++heads;
    return heads >= count;
  }

  test::LoopRunner runner_;
  test::MemoryPeer client_;
  upstream::UpstreamSettings settings_;
  std::shared_ptr<upstream::Shared> shared_;
  std::optional<Spine> spine_;
  TaskGroup tasks_;
};

}  // namespace revproxyd::proxy::testing
