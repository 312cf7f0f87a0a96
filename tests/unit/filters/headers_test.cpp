// The `headers` filter in a chain.

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

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\nX-Old: 1\r\nCookie: c\r\n\r\n";

std::string text_of(const http::Fields& fields) {
  std::string out;
  for (const http::Field& field : fields)
    out.append(field.name).append(": ").append(field.value).append("\n");
  return out;
}

class HeadersFilter : public ::testing::Test {
 protected:
  /// What the handler behind the filter sees, and what comes back.
  http::Response handle(const HeadersSettings& settings, std::uint16_t status = 200) {
    ChainSettings wanted;
    wanted.headers = &settings;
    const pipeline::Chain chain({make_headers(wanted)}, std::make_shared<Echo>(seen_, status));
    return runner_.run(chain.handle(request_.exchange()));
  }

  test::HandRunner runner_;
  Subrequest request_{kGet};
  Echo::Seen seen_;
};

TEST_F(HeadersFilter, EditsTheRequestBeforeTheHandlerSeesIt) {
  HeadersSettings settings;
  settings.request = {.set = {{"X-New", "2"}}, .add = {}, .remove = {"X-Old"}};
  const auto response = handle(settings);
  EXPECT_EQ(seen_.fields, "Host: a\nCookie: c\nX-New: 2\n");
  EXPECT_EQ(text_of(response.head.fields), "Server: echo\n");
}

TEST_F(HeadersFilter, EditsTheResponseOnItsWayBack) {
  HeadersSettings settings;
  settings.response = {.set = {{"X-Frame-Options", "DENY"}}, .add = {}, .remove = {"Server"}};
  const auto response = handle(settings);
  EXPECT_EQ(seen_.fields, "Host: a\nX-Old: 1\nCookie: c\n");
  EXPECT_EQ(text_of(response.head.fields), "X-Frame-Options: DENY\n");
}

TEST_F(HeadersFilter, EditsTheProxysOwnAnswersToo) {
  HeadersSettings settings;
  settings.response = {.set = {{"X-Frame-Options", "DENY"}}, .add = {}, .remove = {}};
  ChainSettings wanted;
  wanted.headers = &settings;
  const pipeline::Chain chain({make_headers(wanted)}, std::make_shared<pipeline::Refuse>());
  request_.exchange().refuse(Error(Code::no_route));
  const auto response = runner_.run(chain.handle(request_.exchange()));
  EXPECT_EQ(response.head.status, 404);
  EXPECT_EQ(response.head.fields.get("X-Frame-Options"), "DENY");
}

TEST_F(HeadersFilter, LeavesTheHandshakeOfAnUpgradeAlone) {
  HeadersSettings settings;
  settings.response = {.set = {{"X-Frame-Options", "DENY"}}, .add = {}, .remove = {"Server"}};
  const auto response = handle(settings, 101);
  EXPECT_EQ(text_of(response.head.fields), "Server: echo\n");
}

TEST_F(HeadersFilter, IsNotMadeWhenThereIsNothingToEdit) {
  const HeadersSettings nothing;
  ChainSettings wanted;
  EXPECT_EQ(make_headers(wanted), nullptr);
  wanted.headers = &nothing;
  EXPECT_EQ(make_headers(wanted), nullptr);
}

TEST_F(HeadersFilter, RunsInFrontOfRewriteSoThatARefusalCarriesItsFields) {
  HeadersSettings headers;
  headers.response = {.set = {{"X-Frame-Options", "DENY"}}, .add = {}, .remove = {}};
  RewriteSettings rewrite;
  rewrite.regex = "^/$";
  rewrite.to = "/../x";
  ChainSettings wanted;
  wanted.headers = &headers;
  wanted.rewrite = &rewrite;
  auto made = make_filters(wanted);
  ASSERT_EQ(made.size(), 2U);
  const pipeline::Chain chain(std::move(made), std::make_shared<Echo>(seen_, 200));
  const auto response = runner_.run(chain.handle(request_.exchange()));
  EXPECT_EQ(response.head.status, 400);
  EXPECT_EQ(response.head.fields.get("X-Frame-Options"), "DENY");
  EXPECT_FALSE(seen_.called);
}

}  // namespace
}  // namespace revproxyd::filters
