#include "revproxyd/proxy/snapshot.h"

#include <memory>
#include <stdexcept>

#include <gtest/gtest.h>

#include "revproxyd/net/loop.h"
#include "tests/unit/proxy/spine_fixture.h"

namespace revproxyd::proxy {
namespace {

using testing::forward_route;
using testing::plan_of;

std::shared_ptr<upstream::Shared> shared_of(const char* name) {
  upstream::UpstreamSettings settings;
  settings.name = name;
  settings.servers.resize(1);
  settings.servers[0].url.text = "http://127.0.0.1:1";
  settings.servers[0].url.host = "127.0.0.1";
  return std::make_shared<upstream::Shared>(std::move(settings), nullptr);
}

std::shared_ptr<const Plan> plan(std::vector<std::shared_ptr<upstream::Shared>> upstreams) {
  std::vector<PlanUpstream> all;
  for (auto& shared : upstreams) all.push_back({std::move(shared), nullptr});
  return std::make_shared<const Plan>(PlanSettings(), std::move(all));
}

class SnapshotTest : public ::testing::Test {
 protected:
  net::Loop loop_;
};

TEST_F(SnapshotTest, HasAClusterForEachUpstreamInTheOrderOfThePlan) {
  const Snapshot snapshot(plan({shared_of("a"), shared_of("b")}), nullptr, 1);
  EXPECT_EQ(snapshot.cluster(0).settings().name, "a");
  EXPECT_EQ(snapshot.cluster(1).settings().name, "b");
}

TEST_F(SnapshotTest, TakesOverTheClusterOfAnUpstreamThatStaysWhereverItStands) {
  const auto a = shared_of("a");
  const auto b = shared_of("b");
  const Snapshot before(plan({a, b}), nullptr, 1);
  const Snapshot after(plan({b, a}), &before, 1);
  EXPECT_EQ(&after.cluster(0), &before.cluster(1));
  EXPECT_EQ(&after.cluster(1), &before.cluster(0));
}

TEST_F(SnapshotTest, MakesANewClusterForAnUpstreamThatChanged) {
  const Snapshot before(plan({shared_of("a")}), nullptr, 1);
  const Snapshot after(plan({shared_of("a")}), &before, 1);
  EXPECT_NE(&after.cluster(0), &before.cluster(0));
}

TEST_F(SnapshotTest, ItsClustersDieWithTheLastSnapshotThatNamesThem) {
  const auto a = shared_of("a");
  auto before = std::make_unique<Snapshot>(plan({a}), nullptr, 1);
  const std::weak_ptr<upstream::Cluster> cluster = before->cluster(0).weak_from_this();
  auto after = std::make_unique<Snapshot>(plan({a}), before.get(), 1);
  before.reset();
  EXPECT_FALSE(cluster.expired());
  after.reset();
  EXPECT_TRUE(cluster.expired());
}

TEST_F(SnapshotTest, APlanRefusesARouteToAnUpstreamThatIsNotThere) {
  EXPECT_THROW(Plan(plan_of({forward_route("r", {"/**"}, "nowhere")}), {}), std::invalid_argument);
}

}  // namespace
}  // namespace revproxyd::proxy
