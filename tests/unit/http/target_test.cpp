#include "revproxyd/http/target.h"

#include <string>

#include <gtest/gtest.h>

namespace revproxyd::http {
namespace {

std::string normal(std::string_view raw) {
  Arena arena;
  const auto path = normalise_path(raw, arena);
  return path ? std::string(path->text) : "refused: " + std::string(path.error().text());
}

TEST(Target, OfOriginFormSplitsAtTheFirstQuestionMark) {
  const auto target = parse_target("/a?b?c", false, false);
  ASSERT_TRUE(target.has_value());
  EXPECT_EQ(target->form, TargetForm::origin);
  EXPECT_EQ(target->path, "/a");
  EXPECT_EQ(target->query, "b?c");
  EXPECT_TRUE(target->has_query);
}

TEST(Target, OfAbsoluteFormHasALowerCaseScheme) {
  const auto target = parse_target("HtTpS://U.example:1/p", false, false);
  ASSERT_TRUE(target.has_value());
  EXPECT_EQ(target->form, TargetForm::absolute);
  EXPECT_EQ(target->scheme, "https");
  EXPECT_EQ(target->authority, "U.example:1");
  EXPECT_EQ(target->path, "/p");
}

TEST(Target, FormsFitTheMethod) {
  EXPECT_EQ(parse_target("a:1", true, false)->form, TargetForm::authority);
  EXPECT_EQ(parse_target("*", false, true)->form, TargetForm::asterisk);
  for (const char* raw : {"/", "*", "http://a/", "a@b:1"})
    EXPECT_FALSE(parse_target(raw, true, false)) << raw;
  for (const char* raw :
       {"*", "a:1", "", "a", "http:a", "http://", "http://u@a/", "ws://a/", "://a/"}) {
    EXPECT_FALSE(parse_target(raw, false, false)) << raw;
  }
}

TEST(Target, RefusesEveryByteThatIsNotVisibleAscii) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string raw = std::string("/a") + static_cast<char>(byte) + "b?";
    const bool fits = byte > 0x20 && byte < 0x7f && byte != '#';
    EXPECT_EQ(parse_target(raw, false, false).has_value(), fits) << byte;
  }
}

TEST(NormalPath, IsTheTextItselfWhenNothingChanges) {
  Arena arena;
  for (std::string_view raw : {"/", "/a/b.c", "/.hidden/...", "/a%2Fb", "/%C3%A9", "/a;b=c,d"}) {
    const auto path = normalise_path(raw, arena);
    ASSERT_TRUE(path.has_value()) << raw;
    EXPECT_EQ(path->text.data(), raw.data()) << raw;
    EXPECT_EQ(path->text.size(), raw.size()) << raw;
  }
}

TEST(NormalPath, DecodesUnreservedCharactersOnly) {
  EXPECT_EQ(normal("/%41%7a%30%2D%2e%5F%7e"), "/Az0-._~");
  EXPECT_EQ(normal("/%20%21%3f%23%25%3b"), "/%20%21%3F%23%25%3B");
}

TEST(NormalPath, IsDecodedOnce) { EXPECT_EQ(normal("/%252E%252e"), "/%252E%252e"); }

TEST(NormalPath, ResolvesDotSegments) {
  EXPECT_EQ(normal("/a/./b"), "/a/b");
  EXPECT_EQ(normal("/a/b/../c"), "/a/c");
  EXPECT_EQ(normal("/a/.."), "/");
  EXPECT_EQ(normal("/a/b/.."), "/a/");
  EXPECT_EQ(normal("/a/."), "/a/");
  EXPECT_EQ(normal("/."), "/");
  EXPECT_EQ(normal("/a/b/../../c"), "/c");
  EXPECT_EQ(normal("/a/%2e%2E/b"), "/b");
}

TEST(NormalPath, MergesSlashes) {
  EXPECT_EQ(normal("//"), "/");
  EXPECT_EQ(normal("//a///b//"), "/a/b/");
  EXPECT_EQ(normal("/a//../b"), "/b");
}

TEST(NormalPath, NeverClimbsOverTheRoot) {
  for (const char* raw :
       {"/..", "/../", "/a/../..", "/./..", "//..", "/%2e%2e", "/a/b/../../../c"}) {
    EXPECT_EQ(normal(raw), "refused: path that climbs over the root") << raw;
  }
}

TEST(NormalPath, RefusesBadEscapes) {
  for (const char* raw : {"/%", "/%4", "/%4/", "/%g0", "/%0g", "/%%20", "/% 20"}) {
    EXPECT_FALSE(normal(raw).starts_with("/")) << raw;
  }
}

TEST(NormalPath, RefusesControlCharactersRawAndEncoded) {
  for (int byte = 0; byte < 0x20; ++byte) {
    const std::string hex = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
    EXPECT_EQ(normal("/%" + hex), "refused: path with an encoded control character") << byte;
    EXPECT_EQ(normal(std::string("/") + static_cast<char>(byte)),
              "refused: path with a byte outside of visible ASCII")
        << byte;
  }
  EXPECT_EQ(normal("/%7F"), "refused: path with an encoded control character");
  EXPECT_EQ(normal("/\xc3"), "refused: path with a byte outside of visible ASCII");
}

TEST(NormalPath, RefusesRawSeparatorsOfOthers) {
  for (const char* raw : {"/a\\b", "/a#b", "/a?b", "", "a"})
    EXPECT_TRUE(normal(raw).starts_with("refused")) << raw;
}

TEST(NormalPath, ReportsEscapedSlashesAndBackslashes) {
  Arena arena;
  EXPECT_TRUE(normalise_path("/a%2fb", arena)->encoded_slash);
  EXPECT_TRUE(normalise_path("/a%5Cb", arena)->encoded_slash);
  EXPECT_FALSE(normalise_path("/a%252fb", arena)->encoded_slash);
}

TEST(Authority, IsAViewWhenNothingChanges) {
  Arena arena;
  const std::string_view text = "a.example:80";
  const auto authority = parse_authority(text, arena);
  ASSERT_TRUE(authority.has_value());
  EXPECT_EQ(authority->host.data(), text.data());
  EXPECT_EQ(authority->host, "a.example");
  EXPECT_EQ(authority->port, 80);
}

TEST(Authority, IsLowerCaseWithoutATrailingDot) {
  Arena arena;
  EXPECT_EQ(parse_authority("A.ExAmPlE.", arena)->host, "a.example");
  EXPECT_EQ(parse_authority("a.example.:80", arena)->host, "a.example");
  EXPECT_EQ(parse_authority("[2001:DB8::A]", arena)->host, "[2001:db8::a]");
}

// RFC 5952 sections 4 and 5.
TEST(Authority, HasAnIpv6AddressInOneForm) {
  Arena arena;
  for (const char* text : {"[2001:db8::1]", "[2001:0DB8:0:0::1]:80", "[2001:db8:0:0:0:0:0.0.0.1]"})
    EXPECT_EQ(parse_authority(text, arena)->host, "[2001:db8::1]") << text;
  EXPECT_EQ(parse_authority("[::ffff:102:304]", arena)->host, "[::ffff:1.2.3.4]");
  EXPECT_EQ(normal_literal("[::0]"), "[::]");
  for (const char* text : {"::1", "[::1", "[]", "[", "", "[127.0.0.1]", "[::1]x"})
    EXPECT_EQ(normal_literal(text), std::nullopt) << text;
}

TEST(Authority, TakesPortsFromOneTo65535) {
  Arena arena;
  EXPECT_EQ(parse_authority("a:1", arena)->port, 1);
  EXPECT_EQ(parse_authority("[::1]:65535", arena)->port, 65'535);
  for (const char* text :
       {"a:0", "a:65536", "a:100000", "a:+1", "a:1x", "a: 1", "a::", "[::1]:x", "[::1]::"}) {
    EXPECT_FALSE(parse_authority(text, arena)) << text;
  }
}

// RFC 3986 section 3.2.3, RFC 9110 section 7.2.
TEST(Authority, AnEmptyPortIsNone) {
  Arena arena;
  EXPECT_EQ(parse_authority("a:", arena)->port, 0);
  EXPECT_EQ(parse_authority("a:", arena)->host, "a");
  EXPECT_EQ(parse_authority("[::1]:", arena)->host, "[::1]");
  EXPECT_FALSE(parse_authority(":", arena));
}

TEST(Authority, RefusesWhatIsNoHost) {
  Arena arena;
  for (const char* text : {"",
                           ".",
                           "..",
                           "a..b",
                           ".a",
                           "a b",
                           "a,b",
                           "u@a",
                           "a/b",
                           "a%41",
                           "a\\b",
                           "[",
                           "[]",
                           "[::1",
                           "::1]",
                           "[1.2.3.4]",
                           "[v1.x]",
                           "[::1]a",
                           "[fe80::1%eth0]",
                           "a[::1]"}) {
    EXPECT_FALSE(parse_authority(text, arena)) << text;
  }
  EXPECT_TRUE(parse_authority(std::string(255, 'a'), arena).has_value());
  EXPECT_FALSE(parse_authority(std::string(256, 'a'), arena).has_value());
}

}  // namespace
}  // namespace revproxyd::http
