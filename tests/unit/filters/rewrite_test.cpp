// The `rewrite` filter in a chain; what the steps do to a path is in path_rewrite_test.cpp.

#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "filters/entries.h"
#include "revproxyd/pipeline/chain.h"
#include "tests/support/hand_runner.h"
#include "tests/unit/filters/echo_handler.h"

namespace revproxyd::filters {
namespace {

using pipeline::testing::Subrequest;
using testing::Echo;

class RewriteFilter : public ::testing::Test {
 protected:
  http::Response handle(const RewriteSettings& settings, std::string_view target) {
    request_.emplace("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    ChainSettings wanted;
    wanted.rewrite = &settings;
    const pipeline::Chain chain({make_rewrite(wanted)}, std::make_shared<Echo>(seen_, 200));
    return runner_.run(chain.handle(request_->exchange()));
  }

  test::HandRunner runner_;
  std::optional<Subrequest> request_;
  Echo::Seen seen_;
};

TEST_F(RewriteFilter, GivesTheHandlerTheEditedTarget) {
  EXPECT_EQ(handle({.strip_prefix = "/api", .add_prefix = "/v2"}, "/api/users?id=7").head.status,
            200);
  EXPECT_EQ(seen_.target, "/v2/users?id=7");
}

TEST_F(RewriteFilter, LeavesTheClientsOwnBytesWhereNoStepFits) {
  EXPECT_EQ(handle({.strip_prefix = "/api"}, "/%61pix/../b").head.status, 200);
  EXPECT_EQ(seen_.target, "");
}

TEST_F(RewriteFilter, RewritesByRegularExpressionWithGroups) {
  EXPECT_EQ(handle({.regex = "^/u/([0-9]+)$", .to = "/user?id=\\1"}, "/u/42").head.status, 200);
  EXPECT_EQ(seen_.target, "/user?id=42");
}

TEST_F(RewriteFilter, RefusesAPathThatWouldClimbOverTheRoot) {
  const auto response = handle({.regex = "^/x$", .to = "/../y"}, "/x");
  EXPECT_EQ(response.head.status, 400);
  EXPECT_EQ(response.error.code(), Code::malformed_request);
  EXPECT_FALSE(seen_.called);
}

TEST_F(RewriteFilter, IsNotMadeWhenThereIsNothingToDo) {
  const RewriteSettings nothing;
  ChainSettings wanted;
  EXPECT_EQ(make_rewrite(wanted), nullptr);
  wanted.rewrite = &nothing;
  EXPECT_EQ(make_rewrite(wanted), nullptr);
}

TEST_F(RewriteFilter, CannotBeMadeOfAPatternThatDoesNotCompile) {
  const RewriteSettings broken{.regex = "(", .to = "/"};
  ChainSettings wanted;
  wanted.rewrite = &broken;
  EXPECT_THROW(make_rewrite(wanted), std::invalid_argument);
}

}  // namespace
}  // namespace revproxyd::filters
