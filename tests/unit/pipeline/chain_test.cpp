#include "revproxyd/pipeline/chain.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/support/hand_runner.h"
#include "tests/unit/pipeline/pipeline_fixture.h"

namespace revproxyd::pipeline {
namespace {

using testing::Subrequest;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// Each writes its name down on the way in and, in capitals, on the way out.
class Noting final : public Filter {
 public:
  Noting(std::string& notes, char name) : notes_(notes), name_(name) {}
  Task<http::Response> handle(Exchange& exchange, const Handler& next) const override {
    notes_ += name_;
    auto response = co_await next.handle(exchange);
    notes_ += static_cast<char>(name_ - 'a' + 'A');
    co_return std::move(response);
  }

 private:
  std::string& notes_;
  char name_;
};

class ShortAnswer final : public Filter {
 public:
  Task<http::Response> handle(Exchange& exchange, const Handler&) const override {
    http::ResponseHead head(exchange.arena());
    head.status = 401;
    co_return http::Response(std::move(head));
  }
};

class Last final : public Handler {
 public:
  explicit Last(std::string& notes) : notes_(notes) {}
  Task<http::Response> handle(Exchange& exchange) const override {
    notes_ += '.';
    http::ResponseHead head(exchange.arena());
    head.status = 204;
    co_return http::Response(std::move(head));
  }

 private:
  std::string& notes_;
};

// A body that reads a body.
class Louder final : public http::Body {
 public:
  explicit Louder(std::unique_ptr<http::Body> inner) : inner_(std::move(inner)) {}
  Task<Result<http::Piece>> read() override {
    auto piece = co_await inner_->read();
    if (!piece) co_return piece.error();
    text_ = piece->bytes;
    for (char& c : text_) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    co_return http::Piece(text_, piece->last);
  }
  bool ready() const noexcept override { return inner_->ready(); }

 private:
  std::unique_ptr<http::Body> inner_;
  std::string text_;
};

TEST(Chain, FiltersSeeTheRequestInTheirOrderAndTheResponseInReverse) {
  test::HandRunner runner;
  std::string notes;
  const Chain chain({std::make_shared<Noting>(notes, 'a'), std::make_shared<Noting>(notes, 'b')},
                    std::make_shared<Last>(notes));
  Subrequest request(kGet);
  const auto response = runner.run(chain.handle(request.exchange()));
  EXPECT_EQ(response.head.status, 204);
  EXPECT_EQ(notes, "ab.BA");
}

TEST(Chain, WithoutFiltersIsTheHandlerItself) {
  test::HandRunner runner;
  std::string notes;
  const Chain chain({}, std::make_shared<Last>(notes));
  Subrequest request(kGet);
  EXPECT_EQ(runner.run(chain.handle(request.exchange())).head.status, 204);
  EXPECT_EQ(notes, ".");
}

TEST(Chain, AFilterThatAnswersByItselfKeepsTheRequestFromThoseBehindIt) {
  test::HandRunner runner;
  std::string notes;
  const Chain chain({std::make_shared<Noting>(notes, 'a'), std::make_shared<ShortAnswer>(),
                     std::make_shared<Noting>(notes, 'b')},
                    std::make_shared<Last>(notes));
  Subrequest request(kGet);
  EXPECT_EQ(runner.run(chain.handle(request.exchange())).head.status, 401);
  EXPECT_EQ(notes, "aA");
}

TEST(Chain, FiltersAndHandlersCanBeSharedByChains) {
  test::HandRunner runner;
  std::string notes;
  const auto filter = std::make_shared<Noting>(notes, 'a');
  const auto last = std::make_shared<Last>(notes);
  const Chain one({filter}, last);
  const Chain other({filter, filter}, last);
  Subrequest request(kGet);
  static_cast<void>(runner.run(one.handle(request.exchange())));
  static_cast<void>(runner.run(other.handle(request.exchange())));
  EXPECT_EQ(notes, "a.Aaa.AA");
}

TEST(Chain, ABodyIsWrappedByTheFilterThatWantsToSeeIt) {
  class Text final : public http::Body {
   public:
    Task<Result<http::Piece>> read() override { co_return http::Piece("quiet", true); }
    bool ready() const noexcept override { return true; }
  };
  test::HandRunner runner;
  Louder body(std::make_unique<Text>());
  EXPECT_TRUE(body.ready());
  const auto piece = runner.run(body.read());
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->bytes, "QUIET");
  EXPECT_TRUE(piece->last);
}

}  // namespace
}  // namespace revproxyd::pipeline
