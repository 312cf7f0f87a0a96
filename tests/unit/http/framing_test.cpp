#include "http/framing.h"

#include <vector>

#include <gtest/gtest.h>

namespace revproxyd::http {
namespace {

using List = std::vector<std::pair<FieldName, std::string_view>>;

class FramingTest : public testing::Test {
 protected:
  const Fields& fields(const List& list) {
    fields_.clear();
    for (const auto& [name, value] : list) fields_.add(name, value);
    return fields_;
  }
  Result<BodyLength> request(const List& list, Version version = Version::http11) {
    return request_length(version, fields(list));
  }
  Result<BodyLength> response(std::uint16_t status, const List& list, Method method = Method::get,
                              Version version = Version::http11) {
    return response_length(version, status, fields(list), method);
  }
  static constexpr FieldName kLength = FieldName::content_length;
  static constexpr FieldName kCoding = FieldName::transfer_encoding;

 private:
  Arena arena_;
  Fields fields_{arena_};
};

TEST_F(FramingTest, OfARequestIsWhatItsFieldsSay) {
  EXPECT_EQ(*request({}), (BodyLength{Framing::none, 0}));
  EXPECT_EQ(*request({{kLength, "0"}}), (BodyLength{Framing::length, 0}));
  EXPECT_EQ(*request({{kLength, "42"}}), (BodyLength{Framing::length, 42}));
  EXPECT_EQ(*request({{kCoding, "Chunked"}}), (BodyLength{Framing::chunked, 0}));
  EXPECT_EQ(*request({{kLength, "9223372036854775807"}}),
            (BodyLength{Framing::length, 9'223'372'036'854'775'807U}));
}

TEST_F(FramingTest, RefusesEveryAmbiguousRequest) {
  const List ambiguous[] = {
      {{kLength, "1"}, {kCoding, "chunked"}},
      {{kLength, "1"}, {kLength, "1"}},
      {{kLength, "1"}, {kLength, "2"}},
      {{kLength, "1,1"}},
      {{kLength, "+1"}},
      {{kLength, "-1"}},
      {{kLength, ""}},
      {{kLength, "1 "}},
      {{kLength, "9223372036854775808"}},
      {{kLength, "99999999999999999999"}},
      {{kLength, "00000000000000000001"}},
      {{kCoding, "gzip"}},
      {{kCoding, "gzip, chunked"}},
      {{kCoding, "chunked, chunked"}},
      {{kCoding, ""}},
      {{kCoding, "identity"}},
      {{kCoding, "chunked"}, {kCoding, ""}},
      {{kCoding, "xchunked"}},
  };
  for (const List& list : ambiguous) {
    const auto length = request(list);
    ASSERT_FALSE(length.has_value()) << list[0].second;
    EXPECT_EQ(length.error().code(), Code::malformed_request);
    EXPECT_EQ(length.error().side(), Side::downstream);
    const auto of_response = response(200, list);
    ASSERT_FALSE(of_response.has_value()) << list[0].second;
    EXPECT_EQ(of_response.error().code(), Code::malformed_response);
    EXPECT_EQ(of_response.error().side(), Side::upstream);
  }
}

TEST_F(FramingTest, RefusesACodingInOtherVersions) {
  EXPECT_FALSE(request({{kCoding, "chunked"}}, Version::http10).has_value());
  EXPECT_FALSE(request({{kCoding, "chunked"}}, Version::http2).has_value());
  EXPECT_FALSE(response(200, {{kCoding, "chunked"}}, Method::get, Version::http10).has_value());
}

TEST_F(FramingTest, OfAResponseIsWhatItsFieldsSay) {
  EXPECT_EQ(*response(200, {}), (BodyLength{Framing::until_close, 0}));
  EXPECT_EQ(*response(200, {{kLength, "7"}}), (BodyLength{Framing::length, 7}));
  EXPECT_EQ(*response(500, {{kCoding, "chunked"}}), (BodyLength{Framing::chunked, 0}));
}

TEST_F(FramingTest, OfAResponseWithoutContentIsNone) {
  for (std::uint16_t status : {std::uint16_t{204}, std::uint16_t{304}}) {
    EXPECT_EQ(*response(status, {{kLength, "7"}}), BodyLength{}) << status;
    EXPECT_EQ(*response(status, {{kCoding, "chunked"}}), BodyLength{}) << status;
  }
  EXPECT_EQ(*response(200, {{kLength, "7"}}, Method::head), BodyLength{});
  EXPECT_EQ(*response(200, {}, Method::head), BodyLength{});
  EXPECT_EQ(*response(100, {}), BodyLength{});
}

TEST_F(FramingTest, HoldsResponsesWithoutContentToTheSameRules) {
  EXPECT_FALSE(response(304, {{kLength, "7"}, {kCoding, "chunked"}}).has_value());
  EXPECT_FALSE(response(200, {{kLength, "x"}}, Method::head).has_value());
}

TEST_F(FramingTest, RefusesAnInterimResponseThatAnnouncesContent) {
  EXPECT_TRUE(response(103, {{kLength, "0"}}).has_value());
  EXPECT_FALSE(response(103, {{kLength, "1"}}).has_value());
  EXPECT_FALSE(response(100, {{kCoding, "chunked"}}).has_value());
  EXPECT_FALSE(response(101, {{kLength, "1"}}).has_value());
}

TEST_F(FramingTest, KnowsTunnels) {
  EXPECT_EQ(response(101, {})->framing, Framing::tunnel);
  EXPECT_EQ(response(200, {{kLength, "7"}}, Method::connect)->framing, Framing::tunnel);
  EXPECT_EQ(*response(407, {{kLength, "7"}}, Method::connect), (BodyLength{Framing::length, 7}));
}

}  // namespace
}  // namespace revproxyd::http
