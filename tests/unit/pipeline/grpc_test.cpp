#include "revproxyd/pipeline/grpc.h"

#include <string>

#include <gtest/gtest.h>

namespace revproxyd::pipeline {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

bool is_grpc_type(std::string_view type) {
  Arena arena;
  http::Fields fields(arena);
  fields.add(http::FieldName::content_type, type);
  return is_grpc(fields);
}

std::optional<Duration> timeout(std::string_view value) {
  Arena arena;
  http::Fields fields(arena);
  fields.add("grpc-timeout", value);
  return grpc_timeout(fields);
}

TEST(Grpc, IsKnownByItsContentType) {
  EXPECT_TRUE(is_grpc_type("application/grpc"));
  EXPECT_TRUE(is_grpc_type("application/grpc+proto"));
  EXPECT_TRUE(is_grpc_type("Application/GRPC+json"));
  EXPECT_TRUE(is_grpc_type("application/grpc;charset=utf-8"));
  EXPECT_TRUE(is_grpc_type("application/grpc ; a=b"));
}

TEST(Grpc, IsNotWhatOnlyBeginsLikeIt) {
  EXPECT_FALSE(is_grpc_type("application/grpc-web"));
  EXPECT_FALSE(is_grpc_type("application/grpc-web+proto"));
  EXPECT_FALSE(is_grpc_type("application/grpcx"));
  EXPECT_FALSE(is_grpc_type("application/grpc +proto"));
  EXPECT_FALSE(is_grpc_type("application/grp"));
  EXPECT_FALSE(is_grpc_type(""));
  Arena arena;
  EXPECT_FALSE(is_grpc(http::Fields(arena)));
}

TEST(Grpc, MapsStatusesAsItsDocumentationDoes) {
  EXPECT_EQ(grpc_status(Code::malformed_request, 400), GrpcStatus::internal);
  EXPECT_EQ(grpc_status(Code::none, 401), GrpcStatus::unauthenticated);
  EXPECT_EQ(grpc_status(Code::none, 403), GrpcStatus::permission_denied);
  EXPECT_EQ(grpc_status(Code::no_route, 404), GrpcStatus::unimplemented);
  for (const std::uint16_t status : std::initializer_list<std::uint16_t>{429, 502, 503, 504})
    EXPECT_EQ(grpc_status(Code::none, status), GrpcStatus::unavailable) << status;
  for (const std::uint16_t status :
       std::initializer_list<std::uint16_t>{405, 408, 417, 421, 500, 505})
    EXPECT_EQ(grpc_status(Code::none, status), GrpcStatus::unknown) << status;
}

TEST(Grpc, TellsLimitsDeadlinesAndLeavingClientsApart) {
  EXPECT_EQ(grpc_status(Code::body_too_large, 413), GrpcStatus::resource_exhausted);
  EXPECT_EQ(grpc_status(Code::header_too_large, 431), GrpcStatus::resource_exhausted);
  EXPECT_EQ(grpc_status(Code::queue_full, 503), GrpcStatus::resource_exhausted);
  EXPECT_EQ(grpc_status(Code::queue_timeout, 503), GrpcStatus::resource_exhausted);
  EXPECT_EQ(grpc_status(Code::deadline_exceeded, 504), GrpcStatus::deadline_exceeded);
  EXPECT_EQ(grpc_status(Code::client_gone, 499), GrpcStatus::cancelled);
}

TEST(Grpc, ReadsATimeoutInEachUnit) {
  EXPECT_EQ(timeout("2H"), hours(2));
  EXPECT_EQ(timeout("3M"), minutes(3));
  EXPECT_EQ(timeout("4S"), seconds(4));
  EXPECT_EQ(timeout("5m"), Duration(5));
  EXPECT_EQ(timeout("6000u"), Duration(6));
  EXPECT_EQ(timeout("7000000n"), Duration(7));
  EXPECT_EQ(timeout("000000010m"), std::nullopt) << "nine digits";
  EXPECT_EQ(timeout("00000010m"), Duration(10));
  EXPECT_EQ(timeout("99999999m"), Duration(99'999'999));
}

TEST(Grpc, RoundsATimeoutUpToAMillisecond) {
  EXPECT_EQ(timeout("1n"), Duration(1));
  EXPECT_EQ(timeout("1u"), Duration(1));
  EXPECT_EQ(timeout("1001u"), Duration(2));
  EXPECT_EQ(timeout("99999999n"), Duration(100));
  EXPECT_EQ(timeout("0S"), Duration(1)) << "it has passed already";
}

TEST(Grpc, TakesATimeoutBeyondAYearForAYear) {
  EXPECT_EQ(timeout("99999999H"), hours(24 * 365));
  EXPECT_EQ(timeout("99999999M"), hours(24 * 365));
  EXPECT_EQ(timeout("8760H"), hours(24 * 365));
  EXPECT_EQ(timeout("8759H"), hours(8759));
}

TEST(Grpc, AMalformedTimeoutIsNone) {
  for (const char* value : {"", "S", "1", "10", "1s", "1h", "-1S", "+1S", "1.5S", " 1S", "1S ",
                            "1 S", "123456789S", "0x1S", "1SS"})
    EXPECT_EQ(timeout(value), std::nullopt) << value;
  Arena arena;
  EXPECT_EQ(grpc_timeout(http::Fields(arena)), std::nullopt);
}

}  // namespace
}  // namespace revproxyd::pipeline
