#include "app/descriptors.h"

#include <sys/resource.h>

#include <gtest/gtest.h>

#include "revproxyd/app/settings.h"

namespace revproxyd::app {
namespace {

/// The limit is as before when the test ends.
class Descriptors : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0); }
  void TearDown() override { ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  void allow(rlim_t count) const {
    const rlimit fewer{count, before_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &fewer), 0);
  }
  static rlim_t allowed() {
    rlimit now{};
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &now), 0);
    return now.rlim_cur;
  }

  rlimit before_{};
};

TEST_F(Descriptors, AreAsManyAsTheyMayBe) {
  if (before_.rlim_max < 128) GTEST_SKIP() << "there are too few to allow fewer";
  allow(100);
  raise_descriptor_limit();
  EXPECT_EQ(allowed(), before_.rlim_max);
  raise_descriptor_limit();
  EXPECT_EQ(allowed(), before_.rlim_max);
}

TEST_F(Descriptors, ThatAreTooFewForTheConnectionsAreTold) {
  Settings settings;
  settings.limits.connections = 1000;
  allow(100);
  const std::string said = descriptor_shortage(settings, 1);
  EXPECT_TRUE(said.starts_with("limits.connections 1000 may need ")) << said;
  EXPECT_NE(said.find("and 100 may be open"), std::string::npos) << said;
}

TEST_F(Descriptors, ThatSufficeAreNotMentioned) {
  Settings settings;
  allow(100);
  settings.limits.connections = 0;
  EXPECT_EQ(descriptor_shortage(settings, 1), "");
  settings.limits.connections = 1;
  EXPECT_EQ(descriptor_shortage(settings, 0), "");
}

}  // namespace
}  // namespace revproxyd::app
