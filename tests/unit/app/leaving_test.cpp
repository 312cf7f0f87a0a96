#include "app/leaving.h"

#include <gtest/gtest.h>

#include "revproxyd/net/listener.h"
#include "tests/unit/net/sockets.h"

namespace revproxyd::app {
namespace {

net::BindAddress address_of(const net::Descriptor& socket) {
  net::BindAddress address;
  address.host = "127.0.0.1";
  address.port = net::local_address(socket.get()).port();
  return address;
}

class Leaving : public testing::Test {
 protected:
  Leaving() {
    first_ = std::make_shared<net::Descriptor>(net::test::loopback_listener(true));
    where_ = address_of(*first_);
    second_ = std::make_shared<net::Descriptor>(net::test::loopback_listener(true, where_.port));
    leaving_.add(seen({{first_}, {second_}}), true);
  }

  std::shared_ptr<net::Descriptor> first_;
  std::shared_ptr<net::Descriptor> second_;
  net::BindAddress where_;
  LeavingSockets leaving_;
};

TEST_F(Leaving, ThoseOfEachWorkerAreFoundByTheirAddress) {
  const auto found = leaving_.bound_as(where_);
  ASSERT_EQ(found.of_workers.size(), 2U);
  EXPECT_EQ(found.of_workers[0], WorkerSockets{first_});
  EXPECT_EQ(found.of_workers[1], WorkerSockets{second_});
  EXPECT_TRUE(found.held);
  EXPECT_TRUE(leaving_.hold_port(where_.port));
}

TEST_F(Leaving, WhatAWorkerHasClosedIsNotFound) {
  first_.reset();
  const auto found = leaving_.bound_as(where_);
  ASSERT_EQ(found.of_workers.size(), 2U);
  EXPECT_TRUE(found.of_workers[0].empty());
  EXPECT_EQ(found.of_workers[1].size(), 1U);
}

TEST_F(Leaving, NothingIsKeptOpen) {
  first_.reset();
  second_.reset();
  EXPECT_TRUE(leaving_.bound_as(where_).of_workers.empty());
  EXPECT_FALSE(leaving_.hold_port(where_.port));
}

TEST_F(Leaving, AnotherAddressIsNotFound) {
  net::BindAddress all = where_;
  all.host.clear();
  EXPECT_TRUE(leaving_.bound_as(all).of_workers.empty());
  net::BindAddress chosen = where_;
  chosen.port = 0;
  EXPECT_TRUE(leaving_.bound_as(chosen).of_workers.empty());
}

}  // namespace
}  // namespace revproxyd::app
