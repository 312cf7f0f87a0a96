#include "revproxyd/upstream/maglev_table.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/base/random_source.h"
#include "tests/support/upstream_servers.h"

namespace revproxyd::upstream {
namespace {

using Server = MaglevTable::Server;

std::vector<Server> servers(const std::vector<std::uint32_t>& weights) {
  std::vector<Server> all;
  for (const std::uint32_t weight : weights)
    all.push_back({hash_bytes("http://s" + std::to_string(all.size())), weight});
  return all;
}

// The owner of every slot, asked for by a hash in its middle.
std::vector<std::size_t> slots_of(const MaglevTable& table) {
  std::vector<std::size_t> owners;
  const std::uint64_t width = ~std::uint64_t{0} / MaglevTable::kSlots;
  for (std::size_t slot = 0; slot < MaglevTable::kSlots; ++slot)
    owners.push_back(table.owner(slot * width + width / 2));
  return owners;
}

std::vector<std::size_t> shares_of(const MaglevTable& table, std::size_t count) {
  std::vector<std::size_t> shares(count);
  for (const std::size_t owner : slots_of(table)) ++shares.at(owner);
  return shares;
}

// Slots in per cent that belong to another server than before, but for those of `gone`.
double moved(const MaglevTable& before, const MaglevTable& after, std::size_t gone) {
  const auto old_owners = slots_of(before);
  const auto new_owners = slots_of(after);
  std::size_t count = 0;
  for (std::size_t slot = 0; slot < old_owners.size(); ++slot) {
    if (old_owners[slot] == gone) continue;
    const std::size_t now = new_owners[slot] + (new_owners[slot] >= gone ? 1 : 0);
    if (now != old_owners[slot]) ++count;
  }
  return 100.0 * static_cast<double>(count) / static_cast<double>(MaglevTable::kSlots);
}

TEST(MaglevTable, IsEmptyWhereThereIsNothingToChoose) {
  EXPECT_TRUE(MaglevTable().empty());
  EXPECT_TRUE(MaglevTable(servers({})).empty());
  EXPECT_TRUE(MaglevTable(servers({3})).empty());
  EXPECT_TRUE(MaglevTable(servers({3, 0, 0})).empty());
  EXPECT_TRUE(
      MaglevTable(std::vector<Server>(MaglevTable::kMostServers + 1, Server{1, 1})).empty());
}

TEST(MaglevTable, GivesEqualServersEqualSharesToOneSlot) {
  for (const std::size_t count : {2U, 3U, 10U, 64U, 100U, 1000U}) {
    SCOPED_TRACE(count);
    const MaglevTable table(servers(std::vector<std::uint32_t>(count, 7)));
    const auto shares = shares_of(table, count);
    const auto [least, most] = std::ranges::minmax(shares);
    EXPECT_LE(most - least, 1U);
  }
}

TEST(MaglevTable, GivesSharesByWeightToTheNearestSlots) {
  const std::vector<std::uint32_t> weights{1, 2, 3, 4, 90, 500};
  const MaglevTable table(servers(weights));
  const auto shares = shares_of(table, weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double due = static_cast<double>(MaglevTable::kSlots) * weights[i] / 600.0;
    EXPECT_NEAR(static_cast<double>(shares[i]), due, 1.5) << i;
  }
}

TEST(MaglevTable, GivesNothingToAServerOfNoWeight) {
  const auto shares = shares_of(MaglevTable(servers({1, 0, 1})), 3);
  EXPECT_EQ(shares[1], 0U);
  EXPECT_NE(shares[0], 0U);
}

TEST(MaglevTable, LeavesOutAServerWhoseShareIsLessThanHalfASlot) {
  EXPECT_EQ(shares_of(MaglevTable(servers({65535, 1})), 2)[1], 1U);
  EXPECT_EQ(shares_of(MaglevTable(servers({65535, 65535, 65535, 1})), 4)[3], 0U);
}

TEST(MaglevTable, IsTheSameWhateverTheOrderOfTheServers) {
  const auto all = servers({1, 3, 2, 5});
  const std::vector<Server> reversed(all.rbegin(), all.rend());
  const auto owners = slots_of(MaglevTable(all));
  const auto mirrored = slots_of(MaglevTable(reversed));
  for (std::size_t slot = 0; slot < owners.size(); ++slot)
    ASSERT_EQ(owners[slot], 3 - mirrored[slot]);
}

TEST(MaglevTable, MovesFewSlotsBetweenTheOthersWhenAServerGoesOrComes) {
  // What the paper calls disruption; the bounds are twice what was measured.
  const std::pair<std::size_t, double> bounds[] = {{3, 0.2}, {10, 0.6}, {100, 1.2}, {1000, 1.2}};
  for (const auto& [count, bound] : bounds) {
    SCOPED_TRACE(count);
    const auto all = servers(std::vector<std::uint32_t>(count, 1));
    auto fewer = all;
    fewer.erase(fewer.begin() + 1);
    const MaglevTable before(all);
    const MaglevTable after(fewer);
    EXPECT_LT(moved(before, after, 1), bound);
  }
}

TEST(MaglevTable, OwnsTheFirstAndTheLastHash) {
  const MaglevTable table(servers({65535, 1}));
  EXPECT_LT(table.owner(0), 2U);
  EXPECT_LT(table.owner(~std::uint64_t{0}), 2U);
}

TEST(MaglevTable, SurvivesServersWithTheSameHash) {
  const auto shares = shares_of(MaglevTable(std::vector<Server>{{5, 1}, {5, 1}}), 2);
  EXPECT_LE(std::max(shares[0], shares[1]) - std::min(shares[0], shares[1]), 1U);
}

}  // namespace
}  // namespace revproxyd::upstream
