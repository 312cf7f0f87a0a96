#pragma once
// A client connection of no protocol in particular, which yields as many streams at once as the
// test wants.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "http/h1/parser.h"
#include "revproxyd/base/event.h"
#include "revproxyd/http/connection.h"
#include "tests/support/memory_transport.h"

namespace revproxyd::test {

/// What a stream was told; the test keeps it when the stream is gone.
struct Told {
  std::uint16_t status = 0;
  std::string fields;  // "name: value\n" each
  std::string body;
  std::vector<std::uint16_t> interim;
  std::size_t flushes = 0;
  Code reset = Code::none;
  bool complete = false;
  bool gone = false;
  bool stalled = false;  // body bytes are not taken until release()
  Event released;
  CancelScope* scope = nullptr;  // while the stream lives

  void release() noexcept {
    stalled = false;
    released.set();
  }
};

class FakeStream final : public http::ServerStream {
 public:
  /// `request` is a head as HTTP/1.1 writes it. `parent` is the connection's scope.
  FakeStream(std::shared_ptr<Told> told, std::string_view request, CancelScope& parent)
      : told_(std::move(told)), scope_(&parent) {
    told_->scope = &scope_;
    auto head = http::h1::parse_request(arena_.copy(request), arena_, http::h1::HeadLimits());
    if (head) {
      head_.emplace(std::move(*head));
    } else {
      refusal_ = head.error().at(Side::downstream);
      head_.emplace(arena_);
    }
  }
  ~FakeStream() override {
    told_->gone = true;
    told_->scope = nullptr;
  }

  Arena& arena() noexcept override { return arena_; }
  CancelScope& scope() noexcept override { return scope_; }
  const std::optional<Error>& refusal() const noexcept override { return refusal_; }
  http::Request take_request() override { return http::Request(std::move(*head_)); }
  void set_body_rules(const http::BodyRules&) noexcept override {}
  void set_write_rules(Duration, std::uint64_t) noexcept override {}

  Task<Result<void>> send_interim(const http::ResponseHead& head) override {
    told_->interim.push_back(head.status);
    co_return {};
  }
  void stage_head(const http::ResponseHead& head) override {
    told_->status = head.status;
    for (const http::Field& field : head.fields) {
      told_->fields.append(field.name).append(": ").append(field.value).append("\n");
    }
  }
  Task<Result<void>> send_body(http::Piece piece) override {
    while (told_->stalled) {
      auto code = co_await told_->released.wait();
      if (code != Code::none) co_return Error(code, Side::downstream);
    }
    told_->body.append(piece.bytes);
    told_->complete = piece.last;
    co_return {};
  }
  Task<Result<void>> flush() override {
    ++told_->flushes;
    co_return {};
  }
  Task<Result<void>> finish(const http::Fields&) override {
    told_->complete = true;
    co_return {};
  }
  void reset(Code reason) noexcept override { told_->reset = reason; }
  bool head_sent() const noexcept override { return told_->status != 0; }
  http::StreamBytes bytes() const noexcept override {
    return {0, told_->body.size(), 0, told_->body.size()};
  }

 private:
  std::shared_ptr<Told> told_;
  Arena arena_;
  CancelScope scope_;
  std::optional<Error> refusal_;
  std::optional<http::RequestHead> head_;
};

class FakeConnection final : public http::ServerConnection {
 public:
  explicit FakeConnection(CancelScope& scope) : scope_(&scope), transport_(peer_.transport()) {}

  /// A request arrives; what becomes of it.
  std::shared_ptr<Told> open(std::string_view request, bool stalled = false) {
    auto told = std::make_shared<Told>();
    told->stalled = stalled;
    waiting_.push_back(std::make_unique<FakeStream>(told, request, scope_));
    arrived_.set();
    return told;
  }
  /// No stream comes after those that wait.
  void end() {
    ended_ = true;
    arrived_.set();
  }
  /// The connection is cut, and with it every stream.
  void fail() {
    failed_ = true;
    scope_.cancel(Code::client_gone);
    end();
  }

  Task<http::Next> next_stream() override {
    while (waiting_.empty() && !ended_) {
      arrived_.clear();
      auto code = co_await arrived_.wait();
      if (code != Code::none) co_return http::Next::failure(Error(code));
    }
    if (failed_) co_return http::Next::failure(Error(Code::client_gone, Side::downstream));
    if (waiting_.empty()) co_return http::Next::drained();
    auto stream = std::move(waiting_.front());
    waiting_.pop_front();
    co_return http::Next::of(std::move(stream));
  }
  void drain() noexcept override {
    drained_ = true;
    end();
  }
  void retire() noexcept override { drain(); }
  Task<void> finish() override {
    finished_ = true;
    co_return;
  }
  net::Transport& transport() noexcept override { return *transport_; }
  bool drained() const noexcept { return drained_; }
  bool finished() const noexcept { return finished_; }

 private:
  CancelScope scope_;
  MemoryPeer peer_;
  std::unique_ptr<net::Transport> transport_;
  std::deque<std::unique_ptr<FakeStream>> waiting_;
  Event arrived_;
  bool ended_ = false;
  bool failed_ = false;
  bool drained_ = false;
  bool finished_ = false;
};

}  // namespace revproxyd::test
