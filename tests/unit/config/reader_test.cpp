#include "revproxyd/config/reader.h"

#include <set>
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

TEST(APath, BeginsAtTheDirectoryOfTheFileThatSaysIt) {
  Report report;
  Reader reader(report);
  report.add_source("proxy.yaml", "");
  const std::uint32_t source = report.add_source("sites/a.yaml", "", "/etc/proxy/sites");
  const auto path = [&](const std::string& text) {
    Node node = scalar(text);
    node.mark.source = source;
    return reader.path(node);
  };
  EXPECT_EQ(path("a.pem"), "/etc/proxy/sites/a.pem");
  EXPECT_EQ(path("tls/a.pem"), "/etc/proxy/sites/tls/a.pem");
  EXPECT_EQ(path("./tls/./a.pem"), "/etc/proxy/sites/tls/a.pem");
  // Where "sites" is a link, it is the kernel that knows what is above it.
  EXPECT_EQ(path("../a.pem"), "/etc/proxy/sites/../a.pem");
  EXPECT_EQ(path("/run/./a.pem"), "/run/./a.pem");
  EXPECT_TRUE(reader.take_secrets().empty());
}

TEST(APath, IsASecretWhenItIsMadeOfOne) {
  Report report;
  Reader reader(report);
  Node node = scalar("hunter2.pem");
  node.mark.source = report.add_source("proxy.yaml", "", "/etc");
  node.secret = true;
  EXPECT_EQ(reader.path(node), "/etc/hunter2.pem");
  EXPECT_EQ(reader.take_secrets(), std::set<std::string>{"/etc/hunter2.pem"});
}

}  // namespace
}  // namespace revproxyd::config
