// Servers of HTTP/2 that fall silent, and requests that were under way when they did.

#include <signal.h>

#include <thread>

#include <gtest/gtest.h>

#include "tests/support/h2_upstream.h"

namespace revproxyd::testing {

namespace {

H2UpstreamOptions one_worker(std::string settings) {
  H2UpstreamOptions out;
  out.settings = std::move(settings);
  out.more = "workers: 1\n";
  return out;
}

/// Takes connections and says nothing.
struct Hung {
  Origin origin{[](OriginExchange& exchange) {
                  exchange.peer_closes();
                  exchange.close();
                },
                [] {
                  OriginOptions options;
                  options.raw = true;
                  return options;
                }()};
};

}  // namespace

TEST(H2UpstreamSilence, APostThatHasLeftIsNotSentAgain) {
  // The connection ends in the same turn in which more of the upload comes.
  Gate came;
  Gate end;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        request->wait([](const H2Message& message) { return message.body.size() >= 5; });
        came.open();
        end.wait();
        request->link().close();
      },
      one_worker(""));
  RawClient client = proxy.connect();
  client.send(
      "POST /pay HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  ASSERT_TRUE(came.wait());
  proxy.daemon.signal(SIGSTOP);
  client.send("5\r\nworld\r\n");
  end.open();
  EXPECT_TRUE(wait_until([&] { return proxy.origin.links().front()->is_closed(); }));
  proxy.daemon.signal(SIGCONT);
  EXPECT_EQ(client.response().status, 502);
  EXPECT_EQ(proxy.origin.request_count(), 1U);
}

TEST(H2UpstreamSilence, AnUploadThatIsNotTakenBehindTheHeadOfTheAnswerEndsBoth) {
  H2UpstreamOptions options = one_worker("timeouts: { idle: 300ms }");
  options.origin.state.give_window = false;
  std::atomic<bool> cancelled = false;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        request->head(200, {{"content-type", "text/event-stream"}});
        if (request->wait_reset() == h2::kCancel) cancelled = true;
      },
      options);
  H2Client client = proxy.connect_h2();
  const std::uint32_t stream = client.open(client.fields("POST", "/both"), false);
  EXPECT_EQ(client.response_head(stream).status(), 200);
  client.send(
      h2::data(stream, std::string(16000, 'x')) + h2::data(stream, std::string(16000, 'x')) +
      h2::data(stream, std::string(16000, 'x')) + h2::data(stream, std::string(16000, 'x')));
  client.send_body(stream, std::string(16000, 'x'), false);
  EXPECT_TRUE(client.reset_code(stream).has_value());
  EXPECT_TRUE(wait_until([&] { return cancelled.load(); }));
}

TEST(H2UpstreamSilence, ThoseWhoWaitForAHungServerGoToAnother) {
  const Hung hung;
  const H2Origin good("good");
  const Daemon daemon(balance_over({"h2c://" + hung.origin.address(), good.url()},
                                   "balance: first, timeouts: { connect: 500ms, first_byte: 3s }",
                                   "workers: 1\n"));
  std::vector<RawClient> clients = ask_at_once(daemon.port(), 8);
  std::size_t answered = 0;
  std::size_t late = 0;
  for (RawClient& client : clients) {
    const int status = client.response().status;
    EXPECT_TRUE(status == 200 || status == 504) << status;
    ++(status == 200 ? answered : late);
  }
  // Only a request that has left may not be asked elsewhere.
  EXPECT_EQ(answered, 7U);
  EXPECT_EQ(late, 1U);
}

TEST(H2UpstreamSilence, AConnectionWithoutAWordIsNotUsedAgain) {
  const Hung hung;
  const Daemon daemon(balance_over({"h2c://" + hung.origin.address()},
                                   "timeouts: { first_byte: 300ms }", "workers: 1\n"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(fetch(daemon.port()).status, 504);
  EXPECT_EQ(hung.origin.connections(), 3U);
}

TEST(H2UpstreamSilence, AConnectionThatFellSilentGetsNoNewRequest) {
  std::atomic<std::size_t> asked = 0;
  const H2Upstream proxy(
      [&](const H2Request& request) {
        if (request->request().path() == "/hangs") {
          request->wait_reset();
          return;
        }
        asked = request->link().number() + 1;
        request->respond("ok");
      },
      one_worker("timeouts: { first_byte: 300ms }"));
  EXPECT_EQ(proxy.get("/first").status, 200);
  RawClient other = proxy.connect();
  other.send("GET /hangs HTTP/1.1\r\nHost: test\r\n\r\n");
  ASSERT_TRUE(proxy.origin.wait_requests(2));
  EXPECT_EQ(proxy.get("/hangs").status, 504);
  EXPECT_EQ(proxy.get("/then").status, 200);
  EXPECT_EQ(asked, 2U);
  EXPECT_EQ(other.response().status, 504);
}

TEST(H2UpstreamSilence, AConnectionThatSpeaksAgainServesThoseThatWait) {
  Gate speaks;
  Gate end;
  const H2Origin origin([&](const H2Request& request) {
    const std::string target = request->request().path();
    if (target == "/events") {
      request->head(200);
      request->data("one");
      speaks.wait();
      request->data("two");
      end.wait(Milliseconds(60'000));
      return request->data("three", true);
    }
    if (target == "/hangs") {
      request->wait_reset();
      return;
    }
    request->respond("ok");
  });
  const Daemon daemon(std::string(kPlainListener) +
                      "workers: 1\nupstreams: { app: { servers: [ { url: '" + origin.url() +
                      "', max_connections: 1 } ], timeouts: { first_byte: 300ms }, limits: { "
                      "max_pending: 2, queue_timeout: 20s } } }\nroutes: [ { to: app } ]\n");
  RawClient events(daemon.port());
  events.send("GET /events HTTP/1.1\r\nHost: test\r\n\r\n");
  events.until("one");
  EXPECT_EQ(fetch(daemon.port(), "/hangs").status, 504);
  // Two of these wait, and one tells that they do.
  std::vector<RawClient> clients = ask_at_once(daemon.port(), 3);
  daemon.wait_access_why("queue_full");
  speaks.open();
  int good = 0;
  for (RawClient& client : clients) good += client.response().status == 200 ? 1 : 0;
  EXPECT_EQ(good, 2);
  EXPECT_EQ(origin.connections(), 1U);
  end.open();
}

}  // namespace revproxyd::testing
