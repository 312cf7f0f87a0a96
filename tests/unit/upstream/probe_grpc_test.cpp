#include "upstream/probe_grpc.h"

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/hand_runner.h"
#include "tests/support/memory_transport.h"
#include "tests/support/upstream_servers.h"

namespace revproxyd::upstream {
namespace {

using namespace std::string_literals;

/// The bytes of a message in an uncompressed frame.
std::string frame(const std::string& message) {
  return "\0\0\0\0"s + static_cast<char>(message.size()) + message;
}

const std::string kServing = frame("\x08\x01");

TEST(GrpcCheckMessage, IsEmptyForTheServerAsAWhole) {
  EXPECT_EQ(grpc_check_message(""), "\0\0\0\0\0"s);
}

TEST(GrpcCheckMessage, NamesTheService) {
  EXPECT_EQ(grpc_check_message("a.B"), "\0\0\0\0\5\x0A\3a.B"s);
}

TEST(GrpcCheckMessage, TellsTheLengthOfALongName) {
  const std::string name(300, 'x');
  // 300 in seven-bit groups, lowest first; the frame has 303 bytes.
  EXPECT_EQ(grpc_check_message(name), "\0\0\0\1\x2F\x0A\xAC\x02"s + name);
}

TEST(GrpcServingStatus, IsTheFirstField) {
  EXPECT_EQ(grpc_serving_status(kServing), Serving::serving);
  EXPECT_EQ(grpc_serving_status(frame("\x08\x02")), Serving::not_serving);
  EXPECT_EQ(grpc_serving_status(frame("\x08\x03")), Serving::service_unknown);
}

TEST(GrpcServingStatus, OfAMessageWithoutItIsUnknown) {
  EXPECT_EQ(grpc_serving_status(frame("")), Serving::unknown);
}

TEST(GrpcServingStatus, IsTheLastOneWhereThereAreTwo) {
  EXPECT_EQ(grpc_serving_status(frame("\x08\x01\x08\x02")), Serving::not_serving);
}

TEST(GrpcServingStatus, PassesOverFieldsThatAreNotKnown) {
  for (const std::string& other : {"\x10\xFF\x01"s, "\x11"s + "12345678", "\x12\x03" + "abc"s,
                                   "\x12\0"s, "\x15"s + "1234", "\x80\x01\x07"s}) {
    EXPECT_EQ(grpc_serving_status(frame(other + "\x08\x01")), Serving::serving);
    EXPECT_EQ(grpc_serving_status(frame("\x08\x01" + other)), Serving::serving);
  }
}

TEST(GrpcServingStatus, MayHaveANumberOfALaterVersion) {
  const auto status = grpc_serving_status(frame("\x08\x81\x01"));
  ASSERT_TRUE(status);
  EXPECT_EQ(static_cast<std::uint64_t>(*status), 129U);
}

// A negative number has ten bytes, of which the last holds one bit.
TEST(GrpcServingStatus, MayBeNegative) {
  const auto status = grpc_serving_status(frame("\x08" + std::string(9, '\xFF') + "\x01"));
  ASSERT_TRUE(status);
  EXPECT_EQ(static_cast<std::uint64_t>(*status), ~std::uint64_t{0});
}

TEST(GrpcServingStatus, IsNothingInWhatIsNoFrame) {
  const std::vector<std::string> bad{"",
                                     "\0\0\0\0"s,        // cut in its head
                                     "\0\0\0\0\2\x08"s,  // cut in its message
                                     kServing + "x",     // more than one frame
                                     kServing + kServing,
                                     "\1\0\0\0\2\x08\1"s,          // compressed
                                     "\0\xFF\xFF\xFF\xFF\x08\1"s,  // longer than can be
                                     "\x08\1"s};
  for (std::size_t i = 0; i < bad.size(); ++i)
    EXPECT_FALSE(grpc_serving_status(bad[i])) << "number " << i;
}

TEST(GrpcServingStatus, IsNothingInWhatIsNoMessage) {
  const std::vector<std::string> bad{
      "\x08"s,                                            // no value
      "\x08\x81"s,                                        // a cut one
      "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\2"s,      // of more than 64 bits
      "\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\0"s,  // of eleven bytes
      "\x0A\1x"s,                                         // the status as a text
      "\x0D"
      "1234"s,                      // the status as a fixed number
      "\0\1"s,                      // field 0
      "\x80"s,                      // the number of a field that is cut
      "\x88\x80\x80\x80\x10\1"s,    // the number of a field of more than 32 bits
      "\x12"s,                      // a text without its length
      "\x12\5abc"s,                 // a text that is cut
      "\x12\xFF\xFF\xFF\xFF\x0F"s,  // a text longer than can be
      "\x11"
      "1234567"s,   // a fixed number that is cut
      "\x13\x14"s,  // a group
      "\x17"s};     // no type at all
  for (std::size_t i = 0; i < bad.size(); ++i)
    EXPECT_FALSE(grpc_serving_status(frame(bad[i]))) << "number " << i;
}

/// The question and its answer over a codec that can be written by hand: what is asked and how the
/// answer is judged do not depend on the version of HTTP.
class AskGrpc : public ::testing::Test, private http::ClientConnection::Owner {
 protected:
  AskGrpc() {
    http::ClientConnection::Owner& owner = *this;
    connection_ = http::open_client_connection(peer_.transport(), "",
                                               http::ClientConnectionSettings(), owner);
    settings_.type = HealthType::grpc;
  }
  void TearDown() override { runner_.stop(); }

  /// What is made of `answer`; empty: well.
  std::string verdict(std::string_view answer) {
    std::optional<ProbeResult> result;
    runner_.start(ask_grpc(*connection_, endpoint_, settings_), result);
    asked_ = peer_.take_received();
    peer_.send(answer);
    runner_.settle();
    if (!result) return "still waits";
    EXPECT_EQ(result->well, result->reason.empty());
    return result->reason;
  }
  void cut() { peer_.reset(); }
  static std::string chunk(const std::string& body) {
    std::ostringstream out;
    if (!body.empty()) out << std::hex << body.size() << "\r\n" << body << "\r\n";
    return out.str();
  }
  static std::string answer(const std::string& body, const std::string& trailers,
                            const std::string& fields = "Content-Type: application/grpc\r\n") {
    return "HTTP/1.1 200 OK\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n" + chunk(body) +
           "0\r\n" + trailers + "\r\n";
  }

  HealthSettings settings_;
  std::string asked_;

 private:
  void on_stream_closed(http::ClientConnection&) noexcept override {}
  void on_idle_input(http::ClientConnection&) noexcept override {}

  Endpoint endpoint_{"shop", test::server("h2c://a:81")};
  revproxyd::test::MemoryPeer peer_;
  revproxyd::test::HandRunner runner_;
  std::unique_ptr<http::ClientConnection> connection_;
};

TEST_F(AskGrpc, IsContentWithServingAndStatusZero) {
  EXPECT_EQ(verdict(answer(kServing, "grpc-status: 0\r\n")), "");
}

TEST_F(AskGrpc, SendsAUnaryCall) {
  settings_.service = "x.Y";
  settings_.host = "cart.example";
  settings_.timeout = Duration(1500);
  verdict(answer(kServing, "grpc-status: 0\r\n"));
  EXPECT_TRUE(asked_.starts_with("POST /grpc.health.v1.Health/Check HTTP/1.1\r\n")) << asked_;
  for (const char* line : {"Host: cart.example\r\n", "Content-Type: application/grpc\r\n",
                           "grpc-timeout: 1500m\r\n", "Content-Length: 10\r\n"})
    EXPECT_NE(asked_.find(line), std::string::npos) << line << asked_;
  EXPECT_TRUE(asked_.ends_with("\r\n\r\n" + grpc_check_message("x.Y"))) << asked_;
}

TEST_F(AskGrpc, NeedsServing) {
  const auto verdict_of = [&](const std::string& message) {
    return verdict(answer(frame(message), "grpc-status: 0\r\n"));
  };
  EXPECT_EQ(verdict_of("\x08\x02"), "the service is NOT_SERVING");
  EXPECT_EQ(verdict_of("\x08\x03"), "the service is SERVICE_UNKNOWN");
  EXPECT_EQ(verdict_of(""), "the service is UNKNOWN");
  EXPECT_EQ(verdict_of("\x08\x09"), "the service is of a kind that is not known");
}

TEST_F(AskGrpc, NeedsAMessage) {
  EXPECT_EQ(verdict(answer("", "grpc-status: 0\r\n")), "malformed message");
}

TEST_F(AskGrpc, NeedsStatusZeroInTheTrailers) {
  EXPECT_EQ(verdict(answer(kServing, "grpc-status: 13\r\n")), "grpc-status 13");
}

TEST_F(AskGrpc, NeedsAStatus) { EXPECT_EQ(verdict(answer(kServing, "")), "no grpc-status"); }

TEST_F(AskGrpc, RefusesAStatusThatIsNoNumber) {
  for (const char* status : {"fine", "x", "", "-1", "1000"})
    EXPECT_EQ(verdict(answer(kServing, "grpc-status: " + std::string(status) + "\r\n")),
              "malformed grpc-status")
        << status;
}

TEST_F(AskGrpc, PassesOverAnswersBeforeTheFinalOne) {
  EXPECT_EQ(verdict("HTTP/1.1 103 Early Hints\r\n\r\n" + answer(kServing, "grpc-status: 0\r\n")),
            "");
}

TEST_F(AskGrpc, NeedsAStatusWhereThereIsNoMessage) {
  EXPECT_EQ(
      verdict("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n"),
      "no grpc-status");
}

TEST_F(AskGrpc, AConnectionThatIsCutIsTheReason) {
  cut();
  EXPECT_TRUE(verdict("").starts_with("reset"));
}

TEST_F(AskGrpc, AMalformedHeadIsTheReason) {
  EXPECT_TRUE(verdict("nonsense").starts_with("malformed_response"));
}

TEST_F(AskGrpc, AMalformedMessageIsTheReason) {
  EXPECT_TRUE(verdict("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n"
                      "Transfer-Encoding: chunked\r\n\r\nx")
                  .starts_with("malformed_response"));
}

TEST_F(AskGrpc, TakesTheStatusOfAnAnswerWithoutAMessage) {
  EXPECT_EQ(verdict("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: "
                    "5\r\nContent-Length: 0\r\n\r\n"),
            "grpc-status 5: the service is not known");
}

TEST_F(AskGrpc, IsNotContentWithStatusZeroWithoutAMessage) {
  EXPECT_EQ(verdict("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: "
                    "0\r\nContent-Length: 0\r\n\r\n"),
            "no message");
}

TEST_F(AskGrpc, NeedsStatus200) {
  EXPECT_EQ(verdict("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), "status 503");
}

TEST_F(AskGrpc, NeedsAnAnswerOfGrpc) {
  EXPECT_EQ(verdict(answer(kServing, "grpc-status: 0\r\n", "Content-Type: text/html\r\n")),
            "the answer is not gRPC");
}

TEST_F(AskGrpc, StopsReadingAnAnswerThatIsTooLong) {
  EXPECT_EQ(verdict(answer(std::string(5000, 'x'), "grpc-status: 0\r\n")),
            "the message is too long");
}

TEST(ProbeAuthority, IsThatOfTheUrlUnlessAnotherIsConfigured) {
  net::ServerUrl url;
  url.host = "a";
  url.port = 50051;
  HealthSettings settings;
  EXPECT_EQ(probe_authority(url, settings), "a:50051");
  settings.host = "b";
  EXPECT_EQ(probe_authority(url, settings), "b");
}

}  // namespace
}  // namespace revproxyd::upstream
