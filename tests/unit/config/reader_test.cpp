#include "revproxyd/config/reader.h"

#include <string>

#include <gtest/gtest.h>

namespace revproxyd::config {
namespace {

Node scalar(const std::string& text) {
  Node node;
  node.kind = Kind::scalar;
  node.text = text;
  return node;
}

class AReader : public ::testing::Test {
 protected:
  std::string said_of_list(const Node& node) {
    EXPECT_FALSE(reader_.expect_list(node, "a list of names"));
    return report_.text();
  }

  Report report_;
  Reader reader_{report_};
};

TEST_F(AReader, ShowsHowOneValueBecomesAList) {
  const std::string said = said_of_list(scalar("shop"));
  EXPECT_NE(said.find("expected a list of names, found 'shop' in the top level"), std::string::npos)
      << said;
  EXPECT_NE(said.find("write [shop]"), std::string::npos) << said;
}

TEST_F(AReader, ShowsNeitherASecretNorALongTextAsAList) {
  Node secret = scalar("hunter2");
  secret.secret = true;
  EXPECT_EQ(said_of_list(secret).find("write ["), std::string::npos);
  EXPECT_EQ(said_of_list(scalar(std::string(40, 'x'))).find("write ["), std::string::npos);
}

TEST_F(AReader, ShowsNoListForAMap) {
  Node map;
  map.kind = Kind::map;
  const std::string said = said_of_list(map);
  EXPECT_NE(said.find("found a map"), std::string::npos) << said;
  EXPECT_EQ(said.find("write ["), std::string::npos) << said;
}

// What could not be expanded has been reported already.
TEST_F(AReader, SaysNothingMoreOfAValueThatIsWrong) {
  Node wrong = scalar("${env:NONE}");
  wrong.wrong = true;
  EXPECT_FALSE(reader_.expect_list(wrong, "a list"));
  EXPECT_FALSE(reader_.expect_map(wrong, "a map"));
  EXPECT_EQ(reader_.scalar(wrong, "a word"), nullptr);
  EXPECT_EQ(report_.errors(), 0U);
}

}  // namespace
}  // namespace revproxyd::config
