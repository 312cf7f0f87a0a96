#include "revproxyd/pipeline/error_response.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/support/hand_runner.h"
#include "tests/unit/pipeline/pipeline_fixture.h"

namespace revproxyd::pipeline {
namespace {

using testing::Subrequest;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

std::string body_of(http::Response& response) {
  test::HandRunner runner;
  const auto piece = runner.run(response.body->read());
  EXPECT_TRUE(piece && piece->last);
  return piece ? std::string(piece->bytes) : std::string();
}

struct StatusCase {
  Code code;
  Side side;
  std::uint16_t status;
};

TEST(ErrorResponse, EveryCauseHasTheStatusOfTheContract) {
  constexpr StatusCase kCases[] = {
      {Code::malformed_request, Side::downstream, 400},
      {Code::encoded_slash, Side::downstream, 400},
      {Code::no_route, Side::downstream, 404},
      {Code::method_refused, Side::downstream, 405},
      {Code::header_timeout, Side::downstream, 408},
      {Code::body_timeout, Side::downstream, 408},
      {Code::body_too_slow, Side::downstream, 408},
      {Code::body_too_large, Side::downstream, 413},
      {Code::request_line_too_long, Side::downstream, 414},
      {Code::expectation_failed, Side::downstream, 417},
      {Code::host_mismatch, Side::downstream, 421},
      {Code::header_too_large, Side::downstream, 431},
      {Code::too_many_fields, Side::downstream, 431},
      {Code::unsupported_version, Side::downstream, 505},
      {Code::client_gone, Side::downstream, 499},
      {Code::refused, Side::upstream, 502},
      {Code::unreachable, Side::upstream, 502},
      {Code::reset, Side::upstream, 502},
      {Code::end_of_stream, Side::upstream, 502},
      {Code::malformed_response, Side::upstream, 502},
      {Code::response_header_too_large, Side::upstream, 502},
      {Code::certificate_rejected, Side::upstream, 502},
      {Code::no_server, Side::upstream, 503},
      {Code::queue_full, Side::upstream, 503},
      {Code::queue_timeout, Side::upstream, 503},
      {Code::memory_limit, Side::internal, 503},
      {Code::resolve_failed, Side::upstream, 503},
      {Code::connect_timeout, Side::upstream, 504},
      {Code::first_byte_timeout, Side::upstream, 504},
      {Code::idle_timeout, Side::upstream, 504},
      {Code::tunnel_timeout, Side::upstream, 504},
      {Code::tunnel_timeout, Side::downstream, 408},
      {Code::deadline_exceeded, Side::downstream, 504},
      {Code::internal, Side::internal, 500},
      {Code::system, Side::upstream, 503},
      {Code::system, Side::internal, 500},
  };
  for (const StatusCase& one : kCases) {
    EXPECT_EQ(status_of(Error(one.code, one.side)), one.status) << name(one.code);
  }
}

TEST(ErrorResponse, SaysWhyAndUnderWhichIdInText) {
  Subrequest request(kGet);
  http::Response response = error_response(request.exchange(), Error(Code::no_route));
  EXPECT_EQ(response.head.status, 404);
  EXPECT_EQ(response.head.fields.get(http::FieldName::content_type), "text/plain; charset=utf-8");
  const std::string id(request.exchange().id());
  EXPECT_EQ(body_of(response), "404 Not Found\nwhy: no_route\nrequest id: " + id + "\n");
}

TEST(ErrorResponse, AnnouncesTheLengthOfItsBody) {
  Subrequest request(kGet);
  http::Response response = error_response(request.exchange(), Error(Code::no_route));
  EXPECT_EQ(response.head.length.framing, http::Framing::length);
  EXPECT_EQ(response.head.length.bytes, body_of(response).size());
}

TEST(ErrorResponse, SpeaksJsonToWhoPrefersIt) {
  Subrequest request("GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
  http::Response response =
      error_response(request.exchange(), Error(Code::queue_full, Side::upstream));
  EXPECT_EQ(response.head.fields.get(http::FieldName::content_type), "application/json");
  const std::string id(request.exchange().id());
  EXPECT_EQ(
      body_of(response),
      "{\"status\":503,\"error\":\"Service Unavailable\",\"why\":\"queue_full\",\"request_id\":\"" +
          id + "\"}\n");
}

TEST(ErrorResponse, SpeaksTextToABrowserThatAlsoTakesJson) {
  Subrequest request(
      "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html, application/json;q=0.5\r\n\r\n");
  const http::Response response = error_response(request.exchange(), Error(Code::no_route));
  EXPECT_EQ(response.head.fields.get(http::FieldName::content_type), "text/plain; charset=utf-8");
}

// RFC 9110 section 12.5.1.
TEST(ErrorResponse, WeighsWhatIsAccepted) {
  const auto type_for = [](const std::string& accept) {
    Subrequest request("GET / HTTP/1.1\r\nHost: a\r\n" + accept + "\r\n");
    const http::Response response = error_response(request.exchange(), Error(Code::no_route));
    const std::string_view type = response.head.fields.get(http::FieldName::content_type);
    return std::string(type.substr(0, type.find(';')));
  };
  const std::string json = "application/json";
  EXPECT_EQ(type_for("Accept: text/html;q=0.1, application/json;q=0.9\r\n"), json);
  EXPECT_EQ(type_for("Accept: text/html\r\nAccept: application/json\r\n"), "text/plain");
  EXPECT_EQ(type_for("Accept: application/json, text/html\r\n"), json);
  EXPECT_EQ(type_for("Accept: application/problem+json;q=0.25, text/*;q=0.249\r\n"), json);
  EXPECT_EQ(type_for("Accept: application/json;q=0\r\n"), "text/plain");
  EXPECT_EQ(type_for("Accept: application/json; charset=utf-8; q=0.5, text/html;q=0.8\r\n"),
            "text/plain");
}

// A range that wants less of one kind takes nothing from the one that wants more of it, wherever
// it stands; what is taken with everything else is no wish for JSON.
TEST(ErrorResponse, OfEachKindTheRangeThatWantsItMostCounts) {
  const auto json_is_sent = [](const std::string& accept) {
    Subrequest request("GET / HTTP/1.1\r\nHost: a\r\nAccept: " + accept + "\r\n\r\n");
    const http::Response response = error_response(request.exchange(), Error(Code::no_route));
    return response.head.fields.get(http::FieldName::content_type) == "application/json";
  };
  EXPECT_FALSE(json_is_sent("text/html, text/plain;q=0.1, application/json;q=0.5"));
  EXPECT_FALSE(json_is_sent("application/json;q=0.5, text/html, text/plain;q=0.1"));
  EXPECT_FALSE(json_is_sent("text/html;level=1, text/html;level=2;q=0.4, application/json;q=0.5"));
  EXPECT_TRUE(json_is_sent("application/json;q=0.4, text/html;q=0.5, application/problem+json"));
  EXPECT_FALSE(json_is_sent("*/*"));
  EXPECT_FALSE(json_is_sent("*/*, application/json;q=0.1"));
  EXPECT_FALSE(json_is_sent("*/*, application/json"));
  EXPECT_TRUE(json_is_sent("application/json, */*"));
  EXPECT_TRUE(json_is_sent("application/json, text/plain, */*"));
  EXPECT_TRUE(json_is_sent("*/*;q=0.8, application/json"));
  // The first of the ranges that want it most is where it stands.
  EXPECT_FALSE(json_is_sent("application/json;q=0.5, text/html, application/json"));
}

// What is no weight counts as 1; text comes first here, and JSON wins only by more.
TEST(ErrorResponse, ReadsWeightsToThreeDigits) {
  const auto json_beats = [](const std::string& text, const std::string& json) {
    Subrequest request("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html;" + text +
                       ", application/json;" + json + "\r\n\r\n");
    const http::Response response = error_response(request.exchange(), Error(Code::no_route));
    return response.head.fields.get(http::FieldName::content_type) == "application/json";
  };
  EXPECT_TRUE(json_beats("q=0.999", "q=1"));
  EXPECT_TRUE(json_beats("q=0.999", "q=1.000"));
  EXPECT_TRUE(json_beats("Q=0.5", "level=1"));
  EXPECT_TRUE(json_beats("q=0", "q=0.1"));
  EXPECT_TRUE(json_beats("q=0.1x9", "q=0.11"));
  EXPECT_TRUE(json_beats("q=0.5", "q"));
  EXPECT_TRUE(json_beats("q=0.5", "qs=0.1"));
  EXPECT_FALSE(json_beats("q=0.5", "q=0.5"));
  EXPECT_FALSE(json_beats("q=0.1231", "q=0.1239"));
  EXPECT_FALSE(json_beats("q=", "q=0.9"));
}

TEST(ErrorResponse, CarriesProxyStatusTheIdAndNoAddress) {
  Subrequest request(kGet);
  http::Response response =
      error_response(request.exchange(), Error(Code::refused, Side::upstream, "10.0.0.1 refused"));
  EXPECT_EQ(response.head.fields.get(http::FieldName::proxy_status),
            "revproxyd; error=connection_refused; details=\"refused\"");
  EXPECT_EQ(response.head.fields.get(http::FieldName::x_request_id), request.exchange().id());
  EXPECT_EQ(response.head.fields.get(http::FieldName::cache_control), "no-store");
  EXPECT_EQ(body_of(response).find("10.0.0.1"), std::string::npos);
  for (const http::Field& field : response.head.fields) {
    EXPECT_EQ(field.value.find("10.0.0.1"), std::string_view::npos) << field.name;
  }
}

TEST(ErrorResponse, NamesTheMethodsThatAreServedWith405) {
  Subrequest request(kGet);
  const http::Response response = error_response(request.exchange(), Error(Code::method_refused));
  EXPECT_EQ(response.head.fields.get("Allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
}

TEST(ErrorResponse, SaysWhenToTryAgainWith503Only) {
  Subrequest request(kGet);
  const http::Response busy =
      error_response(request.exchange(), Error(Code::no_server, Side::upstream));
  EXPECT_EQ(busy.head.fields.get(http::FieldName::retry_after), "1");
  const http::Response late =
      error_response(request.exchange(), Error(Code::connect_timeout, Side::upstream));
  EXPECT_FALSE(late.head.fields.has(http::FieldName::retry_after));
}

TEST(ErrorResponse, IsAResponseWhoseErrorIsSetAndWhoseCauseIsNoted) {
  Subrequest request(kGet);
  const http::Response response =
      error_response(request.exchange(), Error(Code::idle_timeout, Side::upstream));
  EXPECT_EQ(response.error.code(), Code::idle_timeout);
  EXPECT_EQ(request.exchange().notes.why, Code::idle_timeout);
}

TEST(ErrorResponse, QuotesInATrustedIdDoNotLeaveTheirJsonString) {
  Subrequest request(
      "GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nX-Request-Id: a\"b\\c\r\n\r\n",
      {.trusted = true});
  http::Response response = error_response(request.exchange(), Error(Code::no_route));
  EXPECT_NE(body_of(response).find(R"("request_id":"a\"b\\c"})"), std::string::npos);
}

TEST(ErrorResponse, RefuseAnswersWithTheRefusalOfTheExchange) {
  test::HandRunner runner;
  Subrequest request(kGet);
  request.exchange().refuse(Error(Code::host_mismatch, Side::downstream));
  const Refuse handler;
  const auto response = runner.run(handler.handle(request.exchange()));
  EXPECT_EQ(response.head.status, 421);
}

std::string call(std::string_view type) {
  return "POST /s/m HTTP/1.1\r\nHost: a\r\nContent-Type: " + std::string(type) +
         "\r\nAccept: application/json\r\n\r\n";
}

TEST(ErrorResponse, EndsACallWithFieldsOnly) {
  Subrequest request(call("application/grpc+proto"));
  const http::Response response =
      error_response(request.exchange(), Error(Code::refused, Side::upstream));
  EXPECT_EQ(response.head.status, 200);
  EXPECT_EQ(response.head.fields.get(http::FieldName::content_type), "application/grpc");
  EXPECT_EQ(response.head.fields.get("grpc-status"), "14");
  EXPECT_EQ(response.head.fields.get("grpc-message"), "revproxyd: refused");
  EXPECT_EQ(response.head.length.framing, http::Framing::none);
  EXPECT_EQ(response.body, nullptr);
  EXPECT_FALSE(response.head.fields.has(http::FieldName::retry_after));
}

TEST(ErrorResponse, TellsACallTheIdAndTheProxyStatusAsWell) {
  Subrequest request(call("application/grpc"));
  const http::Response response =
      error_response(request.exchange(), Error(Code::no_route, "no route"));
  EXPECT_EQ(response.head.fields.get("grpc-status"), "12");
  EXPECT_EQ(response.head.fields.get(http::FieldName::x_request_id), request.exchange().id());
  EXPECT_EQ(response.head.fields.get(http::FieldName::proxy_status),
            "revproxyd; error=http_request_denied; details=\"no_route\"");
  EXPECT_EQ(response.error.code(), Code::no_route);
  EXPECT_EQ(request.exchange().notes.why, Code::no_route);
}

TEST(ErrorResponse, KeepsTheStatusOfWhatIsNeverSent) {
  Subrequest request(call("application/grpc"));
  const http::Response response =
      error_response(request.exchange(), Error(Code::client_gone, Side::downstream));
  EXPECT_EQ(response.head.status, kClientGoneStatus);
}

TEST(ErrorResponse, AnswersGrpcWebAsAnyOtherRequest) {
  Subrequest request(call("application/grpc-web+proto"));
  const http::Response response =
      error_response(request.exchange(), Error(Code::no_server, Side::upstream));
  EXPECT_EQ(response.head.status, 503);
  EXPECT_EQ(response.head.fields.get(http::FieldName::content_type), "application/json");
  EXPECT_EQ(response.head.fields.find("grpc-status"), nullptr);
}

}  // namespace
}  // namespace revproxyd::pipeline
