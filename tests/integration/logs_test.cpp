// The access log and the log, as docs/log.md describes them.

#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/h2_client.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

bool is_time(const std::string& text) {
  // 2026-11-23T12:44:58.007Z
  return text.size() == 24 && text[4] == '-' && text[10] == 'T' && text[19] == '.' &&
         text[23] == 'Z';
}

}  // namespace

TEST(Logs, HaveTheDocumentedFieldsWithTheirTypes) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send(
      "POST /path?a=b HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\nReferer: "
      "https://ref.example/\r\nUser-Agent: agent/1\r\n\r\nbody");
  EXPECT_EQ(client.response().status, 200);
  const AccessEntry entry = proxy.daemon.wait_access_of("/path");
  for (const char* name :
       {"ts", "id", "client", "listener", "proto", "method", "scheme", "host", "path", "query",
        "referer", "user_agent", "route", "upstream", "server"}) {
    EXPECT_TRUE(entry.is_text(name)) << name;
  }
  for (const char* name : {"status", "bytes_in", "bytes_out", "t_connect", "t_ttfb", "t_total"})
    EXPECT_TRUE(entry.is_number(name)) << name;
  EXPECT_TRUE(is_time(entry.text("ts")));
  EXPECT_EQ(entry.text("id"), proxy.origin.request().field("X-Request-Id"));
  EXPECT_EQ(entry.text("client"), "127.0.0.1");
  EXPECT_EQ(entry.text("listener"), "web");
  EXPECT_EQ(entry.text("proto"), "HTTP/1.1");
  EXPECT_EQ(entry.text("method"), "POST");
  EXPECT_EQ(entry.text("scheme"), "http");
  EXPECT_EQ(entry.text("host"), "shop.example");
  EXPECT_EQ(entry.text("query"), "a=b");
  EXPECT_EQ(entry.text("route"), "all");
  EXPECT_EQ(entry.text("server"), proxy.origin.url());
  EXPECT_EQ(entry.number("bytes_in"), 4);
  EXPECT_EQ(entry.number("bytes_out"), 2);
}

TEST(Logs, SayNothingWhereThereIsNothingToSay) {
  const Proxy proxy;
  EXPECT_EQ(proxy.get("/plain").status, 200);
  const AccessEntry entry = proxy.daemon.wait_access_of("/plain");
  for (const char* name :
       {"why", "tls", "sni", "bytes_in", "retries", "referer", "user_agent", "query"})
    EXPECT_FALSE(entry.has(name)) << name;
}

TEST(Logs, CountBytesOfChunkedBodiesWithoutTheirChunks) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.read_body();
    exchange.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
  });
  RawClient client = proxy.connect();
  client.send(
      "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  EXPECT_EQ(client.response().status, 200);
  const AccessEntry entry = proxy.daemon.wait_access_of("/c");
  EXPECT_EQ(entry.number("bytes_in"), 5);
  EXPECT_EQ(entry.number("bytes_out"), 7);
}

// So long a body passes by without being read.
TEST(Logs, CountOfABodyThatTheClientDidNotWaitForWhatWasSent) {
  const Proxy proxy([](OriginExchange& exchange) {
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n");
    exchange.send(std::string(30000000, 'x'));
  });
  std::size_t head = 0;
  {
    RawClient client = proxy.connect();
    client.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    head = client.until("\r\n\r\n").size();
    client.bytes(1000000);
  }
  const AccessEntry entry = proxy.daemon.wait_access_of("/long");
  EXPECT_EQ(entry.why(), "client_gone");
  const auto sent = static_cast<std::size_t>(entry.number("bytes_out"));
  EXPECT_TRUE(comes_to(proxy.daemon, "bytes_out", head + sent)) << sent;
}

TEST(Logs, MaskSecretsInQueriesAndReferers) {
  const Proxy proxy;
  EXPECT_EQ(
      proxy
          .get("/m?a=1&token=s3cret&PASSWORD=s3cret&c%6fde=s3cret",
               "Referer: http://x/?token=s3cret&b=2\r\nCookie: s3cret\r\nAuthorization: s3cret\r\n")
          .status,
      200);
  const AccessEntry entry = proxy.daemon.wait_access_of("/m");
  EXPECT_EQ(entry.line().find("s3cret"), std::string::npos) << entry.line();
  EXPECT_NE(entry.text("query").find("a=1"), std::string::npos);
  EXPECT_NE(entry.text("query").find("***"), std::string::npos);
  EXPECT_EQ(proxy.origin.request().target, "/m?a=1&token=s3cret&PASSWORD=s3cret&c%6fde=s3cret");
}

TEST(Logs, MaskWhatIsSecretInRefusedTargetsToo) {
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\n");
  const std::string cookie = "Cookie: " + std::string(40000, 'a') + "\r\n";
  const std::string start = "GET /login?token=SECRET&next=1";
  for (const std::string& request :
       {start + " HTTP/1.1\r\nHost: a\r\nX_Trace: 1\r\n\r\n",
        start + " HTTP/1.1\r\nHost: a\r\n" + cookie + "\r\n",
        start + std::string(20000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
        start + " HTTP/1.1\r\nHost: a b\r\n\r\n",
        std::string("GET http://user:SECRET@a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET http://user:SE/SECRET?SECRET@a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("CONNECT user:SECRET@a:443 HTTP/1.1\r\nHost: a\r\n\r\n")}) {
    RawClient client(daemon.port());
    client.send(request);
    EXPECT_GE(client.response().status, 400);
  }
  ASSERT_TRUE(wait_until([&] { return daemon.access_entries().size() == 7; }));
  for (const AccessEntry& entry : daemon.access_entries())
    EXPECT_EQ(entry.line().find("SECRET"), std::string::npos) << entry.line();
  EXPECT_EQ(std::ranges::count(daemon.access_entries(), "/login", &AccessEntry::path), 4);
}

TEST(Logs, MaskWhatTheConfigurationNames) {
  const Origin origin;
  const TempDir directory;
  const std::string file = directory.file("log");
  const Daemon daemon(forward_to(
      origin.url(),
      "access_log: { path: " + file + ", mask: { query: [ key ], headers: [ User-Agent ] } }\n"));
  EXPECT_EQ(fetch(daemon.port(), "/?key=one&token=two", "User-Agent: secret-agent\r\n").status,
            200);
  ASSERT_TRUE(wait_until([&] { return read_file(file).ends_with("\n"); }));
  const std::string line = read_file(file);
  EXPECT_EQ(line.find("one"), std::string::npos) << line;
  EXPECT_NE(line.find("token=two"), std::string::npos) << line;
  EXPECT_EQ(line.find("secret-agent"), std::string::npos) << line;
}

TEST(Logs, TellTheVersionOfARefusedRequestIfItsLineNamesOne) {
  const Proxy proxy;
  const auto refused = [&](const std::string& request, int status) {
    RawClient client = proxy.connect();
    client.send(request);
    EXPECT_EQ(client.response().status, status);
    const std::size_t path = request.find('/');
    return proxy.daemon.wait_access_of(
        request.substr(path, request.find_first_of(" \r", path) - path));
  };
  EXPECT_EQ(refused("GET /v10bad HTTP/1.0\r\nBad Name: x\r\n\r\n", 400).text("proto"), "HTTP/1.0");
  EXPECT_EQ(refused("GET /v11bad HTTP/1.1\r\nBad Name: x\r\n\r\n", 400).text("proto"), "HTTP/1.1");
  EXPECT_FALSE(refused("GET /v20 HTTP/2.0\r\nHost: a\r\n\r\n", 505).has("proto"));
  EXPECT_FALSE(refused("GET /v09\r\n", 400).has("proto"));
}

TEST(Logs, CannotBeForged) {
  const Proxy proxy;
  EXPECT_EQ(proxy.get("/f?a=%0a", "User-Agent: a\", \"status\": 1 \xff\xc3\xa9\t\\\r\n").status,
            200);
  const AccessEntry entry = proxy.daemon.wait_access_of("/f");
  EXPECT_EQ(entry.text("user_agent"), "a\", \"status\": 1 \xff\xc3\xa9\t\\");
}

TEST(Logs, WriteTheClassicLine) {
  const Origin origin;
  const TempDir directory;
  const std::string file = directory.file("log");
  const Daemon daemon(
      forward_to(origin.url(), "access_log: { path: " + file + ", format: combined }\n"));
  EXPECT_EQ(fetch(daemon.port(), "/c?d", "Referer: http://r/\r\nUser-Agent: u\"a\r\n").status, 200);
  ASSERT_TRUE(wait_until([&] { return read_file(file).ends_with("\n"); }));
  const std::string line = read_file(file);
  EXPECT_TRUE(line.starts_with("127.0.0.1 - - [")) << line;
  EXPECT_TRUE(line.ends_with("] \"GET /c?d HTTP/1.1\" 200 2 \"http://r/\" \"u\\x22a\"\n")) << line;
}

TEST(Logs, GoToStandardOutput) {
  const Origin origin;
  const Daemon daemon(forward_to(origin.url(), "access_log: { path: '-' }\n"));
  EXPECT_EQ(fetch(daemon.port(), "/out").status, 200);
  EXPECT_TRUE(
      wait_until([&] { return daemon.output().find("\"path\":\"/out\"") != std::string::npos; }));
}

TEST(Logs, CanBeOff) {
  const Origin origin;
  Daemon daemon(forward_to(origin.url(), "access_log: off\n"));
  EXPECT_EQ(fetch(daemon.port(), "/out").status, 200);
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(daemon.output(), "");
}

TEST(Logs, AReloadThatChangesTheFileLosesNoLine) {
  const TempDir directory;
  const auto config = [](const std::string& path) {
    return std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\n" +
           "access_log: { path: '" + path + "' }\n";
  };
  std::vector<std::string> files;
  for (int i = 0; i < 20; ++i) files.push_back(directory.file(std::to_string(i)));
  Daemon daemon(config(files[0]));
  for (std::size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(fetch(daemon.port()).status, 200);
    EXPECT_EQ(fetch(daemon.port()).status, 200);
    ASSERT_TRUE(daemon.reload(config(i + 1 < files.size() ? files[i + 1] : "off")));
  }
  for (const std::string& file : files) {
    EXPECT_TRUE(wait_until([&] { return std::ranges::count(read_file(file), '\n') == 2; }))
        << file << ": " << read_file(file);
  }
}

TEST(Logs, AReloadThatIsRefusedLeavesNoneBehind) {
  const TempDir directory;
  const Origin holder;
  const std::string access = directory.file("access");
  const std::string log = directory.file("log");
  const auto with = [&](const std::string& more) {
    return "listeners: [ { name: web, address: '127.0.0.1:0' }" + more +
           " ]\nroutes: [ { respond: { body: x } } ]\naccess_log: { path: '" + access +
           "' }\nlog: { path: '" + log + "' }\n";
  };
  Daemon daemon(std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\n");
  daemon.write_config(with(", { address: '" + holder.address() + "' }"));
  EXPECT_EQ(daemon.ctl("reload").status, 1);
  EXPECT_FALSE(std::filesystem::exists(access));
  EXPECT_FALSE(std::filesystem::exists(log));
  write_file(access, "");
  EXPECT_EQ(daemon.ctl("reload").status, 1);
  EXPECT_TRUE(std::filesystem::exists(access)) << "it was there before";
  daemon.write_config(with(""));
  EXPECT_EQ(daemon.ctl("reload").status, 0);
  EXPECT_TRUE(std::filesystem::exists(log));
}

TEST(Logs, AFullDiskStopsNoTraffic) {
  const Origin origin;
  const Daemon daemon(forward_to(origin.url(), "access_log: { path: /dev/full }\n"));
  RawClient client(daemon.port());
  for (int i = 0; i < 500; ++i) EXPECT_EQ(client.get("/" + std::string(200, 'a')).status, 200);
  daemon.wait_log("/dev/full");
  EXPECT_EQ(client.get("/").status, 200);
}

TEST(Logs, AreWrittenWithModeThatOthersCannotRead) {
  const Proxy proxy;
  EXPECT_EQ(proxy.get("/a").status, 200);
  proxy.daemon.wait_access_of("/a");
  const CommandResult mode = run_command({"stat", "-c", "%a", proxy.daemon.access_log_file()});
  EXPECT_TRUE(mode.out.ends_with("0\n")) << mode.out;
}

TEST(Logs, AreReadableForTheirGroupWhateverTheUmask) {
  const TempDir directory;
  const std::string file = directory.file("proxy.yaml");
  const std::string socket = directory.file("admin.sock");
  write_file(file,
             std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\nlog: { path: " +
                 directory.file("log") + " }\naccess_log: { path: " + directory.file("access") +
                 " }\nadmin: { socket: " + socket + " }\n");
  const CommandResult modes =
      run_command({"sh", "-c",
                   "umask 077; " + binary_path() + " -c " + file + " & until [ -S " + socket +
                       " ]; do sleep 0.02; done; kill $!; wait; cd " + directory.path() +
                       "; stat -c %a log access"},
                  Milliseconds(20000));
  EXPECT_EQ(modes.out, "640\n640\n");
}

TEST(Logs, HaveTimesAndLevels) {
  const Proxy proxy;
  const std::string line = proxy.daemon.wait_log("ready");
  EXPECT_TRUE(is_time(line.substr(0, 24))) << line;
  EXPECT_EQ(line.substr(24), " info: ready");
}

TEST(Logs, GoToAFileFromTheirLevelOn) {
  const TempDir directory;
  const std::string file = directory.file("log");
  const CommandResult result = [&] {
    const std::string config = directory.file("proxy.yaml");
    const Origin holder;
    write_file(config, "log: { level: error, path: " + file + " }\nlisteners: [ { address: '" +
                           holder.address() +
                           "' } ]\nroutes: [ { respond: { body: x } } ]\nadmin: { socket: " +
                           directory.file("admin") + " }\n");
    return run_revproxyd({"-c", config});
  }();
  EXPECT_EQ(result.status, 3);
  const std::string log = read_file(file);
  EXPECT_NE((log + result.out).find(" error: "), std::string::npos) << log << result.out;
  EXPECT_EQ(log.find(" info: "), std::string::npos) << log;
}

TEST(Logs, RequestsThatNeverBecameRequestsAreLogged) {
  const Proxy proxy;
  RawClient client = proxy.connect();
  client.send("NONSENSE\r\n\r\n");
  EXPECT_EQ(client.response().status, 400);
  const AccessEntry entry = proxy.daemon.wait_access_why("malformed_request");
  for (const char* name : {"ts", "id", "client", "method", "path"})
    EXPECT_TRUE(entry.is_text(name)) << name;
}

namespace {

/// What the line of the log says of the refused request that the access log tells of last.
std::string refusal(const Daemon& daemon, const std::string& path) {
  const std::string id = daemon.wait_access_of(path).text("id");
  const std::string line =
      daemon.wait_log(" debug: listener web: request " + id + " from 127.0.0.1 refused: ");
  return line.substr(line.find("refused: ") + 9);
}

}  // namespace

TEST(Logs, SayAtLevelDebugWhatWasWrongWithARequest) {
  const Proxy proxy("log: { level: debug }\nlimits: { max_body: 10B }\n");
  const auto told = [&](const std::string& path, const std::string& rest, int status) {
    RawClient client = proxy.connect();
    client.send("POST " + path + " HTTP/1.1\r\n" + rest);
    EXPECT_EQ(client.response().status, status) << path;
    return refusal(proxy.daemon, path);
  };
  EXPECT_EQ(told("/name", "Host: a\r\nX_B: 1\r\n\r\n", 400),
            "malformed_request: underscore in a field name");
  EXPECT_EQ(told("/hosts", "Host: a\r\nHost: b\r\n\r\n", 400),
            "malformed_request: several host fields");
  EXPECT_EQ(told("/chunk", "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\n", 400),
            "malformed_request: white space behind a chunk size");
  EXPECT_EQ(told("/a%2Fb", "Host: a\r\n\r\n", 400),
            "encoded_slash: encoded slash or backslash in the path");
  EXPECT_EQ(told("/large", "Host: a\r\nContent-Length: 11\r\n\r\n", 413),
            "body_too_large: Content-Length exceeds max_body");
  H2Client client(proxy.daemon.port());
  client.open(client.fields("GET", "/h2", {{"x_b", "1"}}));
  EXPECT_EQ(refusal(proxy.daemon, "/h2"), "malformed_request: underscore in a field name");
  const std::uint32_t late =
      client.open(client.fields("POST", "/h2-body", {{"content-length", "5"}}), false);
  client.send_body(late, "body");
  EXPECT_EQ(refusal(proxy.daemon, "/h2-body"),
            "malformed_request: more or less than was announced");
}

TEST(Logs, SayNothingOfRefusedRequestsAboveLevelDebug) {
  Proxy proxy("log: { level: info }\n");
  EXPECT_EQ(proxy.get("/", "X_B: 1\r\n").status, 400);
  proxy.daemon.wait_access_why("malformed_request");
  EXPECT_EQ(proxy.daemon.stop(), 0);
  EXPECT_EQ(proxy.daemon.log().find("refused"), std::string::npos) << proxy.daemon.log();
}

}  // namespace revproxyd::testing
