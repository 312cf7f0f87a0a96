// What the names of servers stand for, written and read again.

#include "app/known_addresses.h"

#include <gtest/gtest.h>

namespace revproxyd::app {

namespace {

using net::Address;

net::AddressList list(std::vector<Address> addresses) {
  return std::make_shared<const std::vector<Address>>(std::move(addresses));
}

KnownAddresses read_again(const std::vector<std::string>& texts) {
  KnownAddresses known;
  for (const std::string& text : texts) decode_addresses(text, known);
  return known;
}

}  // namespace

TEST(KnownAddresses, ComeBackAsTheyWere) {
  const std::vector<Address> both{*Address::ip("192.0.2.1", 80), *Address::ip("[2001:db8::1]", 80)};
  const KnownAddresses known{{"a.example:80", list(both)},
                             {"b.example:443", list({*Address::ip("[fe80::1]", 443)})}};
  const KnownAddresses again = read_again(encode_addresses(known, 1000));
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(*again.at("a.example:80"), both);
  EXPECT_EQ(*again.at("b.example:443"), *known.at("b.example:443"));
}

TEST(KnownAddresses, AreWrittenInTextsOfLimitedSize) {
  KnownAddresses known;
  for (int i = 0; i < 100; ++i)
    known[server_key("host" + std::to_string(i), 80)] = list({*Address::ip("192.0.2.1", 80)});
  const auto texts = encode_addresses(known, 200);
  for (const std::string& text : texts) EXPECT_LE(text.size(), 200U);
  EXPECT_EQ(read_again(texts).size(), 100U);
}

TEST(KnownAddresses, ANameWithMoreThanOneTextHoldsIsLeftOut) {
  const std::vector<Address> many(10, *Address::ip("192.0.2.1", 80));
  const KnownAddresses known{{"many:80", list(many)}, {"one:80", list({many.front()})}};
  const KnownAddresses again = read_again(encode_addresses(known, 100));
  EXPECT_EQ(again.size(), 1U);
  EXPECT_TRUE(again.contains("one:80"));
}

TEST(KnownAddresses, WhatIsNoAddressIsPassedOver) {
  KnownAddresses known;
  const std::string good =
      encode_addresses({{"a:80", list({*Address::ip("192.0.2.1", 80)})}}, 99)[0];
  const std::string hex = good.substr(5, good.size() - 6);
  decode_addresses("a:80 xyz " + hex + " 02 0200\nb:80\nc:80 " + hex + "00\n\n" + "d:80 0" + hex,
                   known);
  ASSERT_EQ(known.size(), 1U);
  EXPECT_EQ(known.at("a:80")->size(), 1U);
}

}  // namespace revproxyd::app
