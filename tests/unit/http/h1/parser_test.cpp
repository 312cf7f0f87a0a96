#include "http/h1/parser.h"

#include <string>

#include <gtest/gtest.h>

// tests/wire/*.md holds the grammar, case by case; here is what the wire notation cannot say.

namespace revproxyd::http::h1 {
namespace {

TEST(H1Parser, StoresNothingOutsideOfBlockAndArena) {
  Arena arena;
  const auto block = arena.copy("GET http://A.example/%41 HTTP/1.1\r\nHost: b\r\n\r\n");
  const auto head = parse_request(block, arena, {});
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->raw_target.data(), block.data() + 4);
  EXPECT_EQ(head->authority.data(), block.data() + 11);
  EXPECT_EQ(head->path, "/A");
}

TEST(H1Parser, InternsKnownNames) {
  Arena arena;
  const auto head = parse_request("GET / HTTP/1.1\r\nhOST: a\r\nX-Own: b\r\n\r\n", arena, {});
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->fields.begin()[0].known, FieldName::host);
  EXPECT_EQ(head->fields.begin()[0].name, "hOST");
  EXPECT_EQ(head->fields.begin()[1].known, FieldName::unknown);
}

TEST(H1Parser, TakesUpgradesInManyLinesAsOneListOfTheirSize) {
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n";
  const std::string value(300, 'a');
  for (int i = 0; i < 90; ++i) head.append("Upgrade: ").append(value).append("\r\n");
  head.append("\r\n");
  Arena arena;
  const auto parsed = parse_request(head, arena, {});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->upgrade.size(), 90 * value.size() + 89 * 2);
  EXPECT_LE(arena.held_bytes(), 2 * head.size());
}

TEST(H1Parser, SeesWhetherTheClientTakesTrailers) {
  const auto takes_trailers = [](std::string_view fields) {
    Arena arena;
    const auto head =
        parse_request(arena.join("GET / HTTP/1.1\r\nHost: a\r\n", fields, "\r\n"), arena, {});
    return head && head->accepts_trailers;
  };
  EXPECT_TRUE(takes_trailers("Connection: TE\r\nTE: trailers\r\n"));
  EXPECT_TRUE(takes_trailers("TE: deflate;q=0.5, Trailers\r\n"));
  EXPECT_TRUE(takes_trailers("TE: gzip\r\nTE: trailers\r\n"));
  EXPECT_FALSE(takes_trailers("TE: gzip\r\n"));
  EXPECT_FALSE(takes_trailers("TE: xtrailers\r\n"));
  EXPECT_FALSE(takes_trailers("Trailer: trailers\r\n"));
}

TEST(H1Parser, RefusesEveryControlCharacterAtEveryPlaceOfAValue) {
  for (int byte = 0; byte < 256; ++byte) {
    const bool fits = (byte >= 0x20 && byte != 0x7f) || byte == '\t';
    for (std::size_t at = 1; at < 40; ++at) {
      std::string value(40, 'v');
      value[at] = static_cast<char>(byte);
      Arena arena;
      Fields fields(arena);
      const auto parsed = parse_fields("A: " + value + "v\r\n\r\n", Kind::request, fields, {});
      ASSERT_EQ(parsed.has_value(), fits) << byte << " at " << at;
    }
  }
}

TEST(H1Parser, TakesOnlyTokenCharactersInNames) {
  const std::string_view marks = "!#$%&'*+-.^`|~";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    if (c == ':') continue;
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    const bool token = letter || (byte != 0 && marks.find(c) != std::string_view::npos);
    for (std::size_t at = 0; at < 40; ++at) {
      std::string name(40, 'n');
      name[at] = c;
      const std::string block = name + "n: v\r\n\r\n";
      Arena arena;
      Fields fields(arena);
      ASSERT_EQ(parse_fields(block, Kind::request, fields, {}).has_value(), token)
          << byte << " at " << at;
      fields.clear();
      ASSERT_EQ(parse_fields(block, Kind::response, fields, {}).has_value(), token || c == '_')
          << byte << " at " << at;
    }
  }
}

TEST(H1Parser, CutsNamesOfEveryLength) {
  for (std::size_t size = 1; size < 40; ++size) {
    const std::string name(size, 'n');
    const std::string block = name + ":v\r\nO: w\r\n\r\n";
    Arena arena;
    Fields fields(arena);
    ASSERT_TRUE(parse_fields(block, Kind::request, fields, {}).has_value());
    ASSERT_EQ(fields.size(), 2U);
    EXPECT_EQ(fields.begin()[0].name, name);
    EXPECT_EQ(fields.begin()[0].value, "v");
  }
}

TEST(H1Parser, RefusesABlockThatDoesNotEndWithTheEmptyLine) {
  const std::string whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Arena arena;
    EXPECT_FALSE(parse_request(std::string_view(whole).substr(0, size), arena, {}).has_value())
        << size;
  }
  Arena arena;
  EXPECT_FALSE(parse_request(whole + "x", arena, {}).has_value());
}

TEST(H1Parser, RefusesBadStartLinesWithoutAScanner) {
  for (const char* line : {"\n", "GET /\r\n", "GET / HTTP/1.1\n", "GET /\r HTTP/1.1\r\n"}) {
    Arena arena;
    EXPECT_FALSE(parse_request(std::string(line) + "Host: a\r\n\r\n", arena, {}).has_value())
        << line;
  }
}

TEST(H1Parser, RefusesANameThatEndsInWhiteSpaceWithoutAScanner) {
  Arena arena;
  Fields fields(arena);
  EXPECT_FALSE(parse_fields("A: b\r\nC \t", Kind::request, fields, {}).has_value());
}

TEST(H1Parser, HoldsItsBlockToTheLimitsWithoutAScanner) {
  Arena arena;
  const std::string_view head = "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n";
  EXPECT_TRUE(parse_request(head, arena, {.start_line = 14, .header_bytes = 15, .header_count = 2})
                  .has_value());
  EXPECT_EQ(parse_request(head, arena, {.start_line = 13, .header_bytes = 15, .header_count = 2})
                .error()
                .code(),
            Code::request_line_too_long);
  EXPECT_EQ(parse_request(head, arena, {.start_line = 14, .header_bytes = 14, .header_count = 2})
                .error()
                .code(),
            Code::header_too_large);
  EXPECT_EQ(parse_request(head, arena, {.start_line = 14, .header_bytes = 15, .header_count = 1})
                .error()
                .code(),
            Code::too_many_fields);
}

TEST(H1Parser, AppendsFieldsToThoseThatAreThere) {
  Arena arena;
  Fields fields(arena);
  fields.add("A", "1");
  ASSERT_TRUE(parse_fields("B: 2\r\n\r\n", Kind::response, fields, {}).has_value());
  EXPECT_EQ(fields.size(), 2U);
}

TEST(H1Parser, NamesTheSideThatIsAtFault) {
  Arena arena;
  EXPECT_EQ(parse_request("GET\r\n\r\n", arena, {}).error().side(), Side::downstream);
  EXPECT_EQ(parse_response("HTTP/1.1\r\n\r\n", Method::get, arena, {}).error().side(),
            Side::upstream);
}

}  // namespace
}  // namespace revproxyd::http::h1
