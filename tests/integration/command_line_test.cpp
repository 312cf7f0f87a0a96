// The command line: what it prints, how it ends.

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

constexpr std::string_view kGood =
    "listeners: [ { name: web, address: '127.0.0.1:0' } ]\nroutes: [ { respond: { body: x } } ]\n";

/// Runs the binary with a file of this content as the last argument.
CommandResult run_with(const std::string& config, std::vector<std::string> arguments) {
  const TempDir directory;
  const std::string file = directory.file("proxy.yaml");
  write_file(file, config);
  arguments.insert(arguments.end(), {"-c", file});
  return run_revproxyd(std::move(arguments));
}

bool has(const CommandResult& result, std::string_view text) {
  return result.out.find(text) != std::string::npos;
}

}  // namespace

TEST(CommandLine, TestsAGoodFile) {
  const CommandResult result = run_with(std::string(kGood), {"-t"});
  EXPECT_EQ(result.status, 0) << result.out;
}

TEST(CommandLine, ReportsEveryErrorWithItsPlaceAndASuggestion) {
  const CommandResult result = run_with(
      "listeners:\n"
      "  - { name: web, adress: '127.0.0.1:0' }\n"
      "timeouts: { header: 5 }\n"
      "routes: [ { to: nowhere } ]\n",
      {"-t"});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(has(result, "proxy.yaml:2:18: error: unknown key 'adress'")) << result.out;
  EXPECT_TRUE(has(result, "did you mean 'address'?")) << result.out;
  EXPECT_TRUE(has(result, "^~~")) << result.out;
  EXPECT_TRUE(has(result, "proxy.yaml:3:21: error:")) << result.out;
  EXPECT_TRUE(has(result, "5s")) << result.out;
}

TEST(CommandLine, RefusesDuplicateKeysAndReferencesToNothing) {
  EXPECT_EQ(run_with("routes: []\nroutes: []\n" + std::string(kGood), {"-t"}).status, 1);
  const CommandResult nowhere =
      run_with("listeners: [ { address: ':0' } ]\nroutes: [ { to: nowhere } ]\n", {"-t"});
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_TRUE(has(nowhere, "nowhere")) << nowhere.out;
}

TEST(CommandLine, RefusesHostileFilesQuickly) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 1; k < 10; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  for (const std::string& hostile : {bomb, std::string(100000, '['),
                                     std::string("routes: \xff\xfe\n"), std::string("\0\0", 2)}) {
    const Stopwatch watch;
    EXPECT_EQ(run_with(hostile, {"-t"}).status, 1);
    EXPECT_LT(watch.elapsed(), Milliseconds(10000));
  }
}

TEST(CommandLine, CountsWarningsUnderStrictOnly) {
  const std::string config =
      std::string(kGood) + "upstreams: { unused: { servers: [ { url: http://127.0.0.1:1 } ] } }\n";
  const CommandResult lax = run_with(config, {"-t"});
  EXPECT_EQ(lax.status, 0) << lax.out;
  EXPECT_TRUE(has(lax, "warning")) << lax.out;
  EXPECT_EQ(run_with(config, {"-t", "--strict"}).status, 2);
}

TEST(CommandLine, RunsTheTestsOfTheFile) {
  const std::string tests = "tests: [ { request: 'GET http://a/', expect: { status: ";
  EXPECT_EQ(run_with(std::string(kGood) + tests + "200 } } ]\n", {"-t"}).status, 0);
  const CommandResult failed = run_with(std::string(kGood) + tests + "404 } } ]\n", {"-t"});
  EXPECT_EQ(failed.status, 1);
  const auto lines = std::count(kGood.begin(), kGood.end(), '\n');
  EXPECT_TRUE(has(failed, ":" + std::to_string(lines + 1) + ":10: error: test 'GET http://a/': "))
      << failed.out;
  EXPECT_TRUE(has(failed, "|          ^")) << failed.out;
}

TEST(CommandLine, TestsOfTheFileMeetTheListenerAtTheirPort) {
  const std::string config =
      "listeners: [ { name: a, address: ':8001', redirect: https }, { name: b, address: ':8002' }, "
      "{ name: c, address: ':8003', tls: internal } ]\n"
      "routes: [ { name: b, match: { listener: b }, respond: { body: x } }, { name: rest, respond: "
      "{ body: x "
      "} } "
      "]\ntests:\n"
      "  - { request: 'GET http://h:8001/', expect: { status: 308 } }\n"
      "  - { request: 'GET http://h:8002/', expect: { route: b } }\n"
      "  - { request: 'GET http://h:8002?q', expect: { route: b } }\n"
      "  - { request: 'TRACE http://h:8002/', expect: { status: 405 } }\n"
      "  - { request: 'GET https://h/', expect: { route: rest } }\n";
  const CommandResult result = run_with(config, {"-t"});
  EXPECT_EQ(result.status, 0) << result.out;
}

TEST(CommandLine, TestsOfTheFileNameTheRouteAndTheScheme) {
  const std::string config =
      "listeners: [ { name: web, address: '127.0.0.1:0', redirect: https }, { name: tls, address: "
      "'127.0.0.1:0', tls: internal } ]\n"
      "routes: [ { name: all, respond: { body: x } }, { name: own, path: /own, to: http://a } ]\n"
      "tests: [ ";
  const auto test = [](const std::string& request, const std::string& expect) {
    return "{ request: 'GET " + request + "', expect: { " + expect + " } }, ";
  };
  const std::string good = test("http://a/own", "status: 308") +
                           test("https://a/own", "route: own") + test("https://a", "route: all");
  EXPECT_EQ(run_with(config + good + "]\n", {"-t"}).status, 0);
  const auto verdict = [&](const std::string& request, const std::string& expect) {
    const CommandResult failed = run_with(config + test(request, expect) + "]\n", {"-t"});
    EXPECT_EQ(failed.status, 1);
    return failed.out;
  };
  EXPECT_NE(verdict("https://a/own", "route: all").find("expected route all, got own"),
            std::string::npos);
  EXPECT_NE(verdict("http://a/own", "route: own").find("expected route own, got none"),
            std::string::npos);
  EXPECT_NE(verdict("https://a/own", "status: 200").find("expected status 200, got the upstream's"),
            std::string::npos);
  EXPECT_NE(verdict("https://a/%00", "status: 200").find("expected status 200, got 400"),
            std::string::npos);
}

TEST(CommandLine, TestsOfTheFileComeFromAClient) {
  const std::string config =
      "listeners: [ { address: '127.0.0.1:0' } ]\n"
      "routes: [ { name: near, match: { source: [ 10.0.0.0/8, '2001:db8::/32' ] }, respond: {} },\n"
      "  { name: own, match: { source: 127.0.0.1 }, respond: {} }, { name: far, respond: {} } ]\n"
      "tests:\n"
      "  - { request: 'GET http://h/', expect: { route: own } }\n"
      "  - { request: 'GET http://h/', from: 10.1.2.3, expect: { route: near } }\n"
      "  - { request: 'GET http://h/', from: '2001:db8::1', expect: { route: near } }\n"
      "  - { request: 'GET http://h/', from: 192.0.2.1, expect: { route: far } }\n";
  const CommandResult result = run_with(config, {"-t"});
  EXPECT_EQ(result.status, 0) << result.out;
  const CommandResult printed = run_with(config, {"-T"});
  EXPECT_EQ(run_with(printed.out, {"-t"}).status, 0) << printed.out;
}

TEST(CommandLine, TestsOfTheFileWhoseSchemeNoListenerHasAreWarnedOf) {
  const auto verdict = [](const std::string& listener, const std::string& scheme,
                          const std::string& more) {
    return run_with("listeners: [ { name: one, address: '127.0.0.1:0'" + listener +
                        " } ]\nroutes: [ { name: a, match: { listener: one, scheme: " + scheme +
                        " }, respond: {} } ]\n" + more + "tests: [ { request: 'GET " + scheme +
                        "://h/', expect: { route: a } } ]\n",
                    {"-t"});
  };
  const CommandResult plain = verdict("", "https", "");
  EXPECT_EQ(plain.status, 0);
  EXPECT_TRUE(has(plain, "warning: test 'GET https://h/': no listener has 'tls'")) << plain.out;
  const CommandResult secure = verdict(", tls: internal", "http", "");
  EXPECT_EQ(secure.status, 0);
  EXPECT_TRUE(has(secure, "warning: test 'GET http://h/': every listener has 'tls'")) << secure.out;
  // A trusted proxy may say either.
  const std::string trusted = "trusted_proxies: [ 10.0.0.0/8 ]\n";
  for (const CommandResult& result :
       {verdict("", "https", trusted), verdict(", tls: internal", "http", trusted)})
    EXPECT_FALSE(has(result, "warning")) << result.out;
}

TEST(CommandLine, ChecksThatKeysFitTheirCertificates) {
  Certificates authority;
  const Certificate a = authority.issue_for({"a.example"});
  const Certificate b = authority.issue_for({"b.example"});
  const auto config = [](const std::string& cert, const std::string& key) {
    return "listeners: [ { address: ':0', tls: {} } ]\ncertificates: [ { hosts: a.example, cert: " +
           cert + ", key: " + key + " } ]\nroutes: [ { respond: { body: x } } ]\n";
  };
  EXPECT_EQ(run_with(config(a.cert_file, a.key_file), {"-t"}).status, 0);
  EXPECT_EQ(run_with(config(a.cert_file, b.key_file), {"-t"}).status, 1);
  const CommandResult other_name = run_with(config(b.cert_file, b.key_file), {"-t", "--strict"});
  EXPECT_NE(other_name.status, 0);
  EXPECT_TRUE(has(other_name, "a.example")) << other_name.out;
  EXPECT_EQ(run_with(config(a.cert_file, "/nonexistent"), {"-t"}).status, 1);
}

TEST(CommandLine, WarnsOfCertificatesThatExpire) {
  Certificates authority;
  const Certificate old = authority.issue_expired("a.example");
  const CommandResult result = run_with(
      "listeners: [ { address: ':0', tls: {} } ]\ncertificates: [ { hosts: a.example, cert: " +
          old.cert_file + ", key: " + old.key_file + " } ]\nroutes: [ { respond: { body: x } } ]\n",
      {"-t", "--strict"});
  EXPECT_NE(result.status, 0);
  EXPECT_TRUE(has(result, "expire")) << result.out;
}

TEST(CommandLine, EndsWithThreeWhenACertificateCannotBeRead) {
  const TempDir directory;
  const std::string missing = directory.file("missing.pem");
  const CommandResult result = run_with(
      "listeners: [ { address: '127.0.0.1:0', tls: {} } ]\ncertificates: [ { hosts: a.example, "
      "cert: " +
          missing + ", key: " + missing + " } ]\nroutes: [ { respond: { body: x } } ]\n",
      {});
  EXPECT_EQ(result.status, 3);
  EXPECT_TRUE(has(result, missing)) << result.out;
  EXPECT_TRUE(has(result, "No such file or directory")) << result.out;
}

TEST(CommandLine, PrintsTheEffectiveConfigurationThatLoadsAgain) {
  const CommandResult printed = run_with(std::string(kGood), {"-T"});
  EXPECT_EQ(printed.status, 0);
  for (const char* text : {"keepalive", "max_body", "100MiB", "drain"})
    EXPECT_TRUE(has(printed, text)) << text;
  const CommandResult again = run_with(printed.out, {"-t"});
  EXPECT_EQ(again.status, 0) << again.out << printed.out;
}

TEST(CommandLine, HidesSecretsInTheEffectiveConfiguration) {
  ::setenv("ITEST_SECRET", "hunter2", 1);
  const CommandResult printed = run_with(
      "listeners: [ { address: ':0' } ]\nroutes: [ { respond: { body: '${env:ITEST_SECRET}' } } "
      "]\n",
      {"-T"});
  EXPECT_EQ(printed.status, 0) << printed.out;
  EXPECT_FALSE(has(printed, "hunter2"));
  EXPECT_TRUE(has(printed, "<redacted>"));
}

TEST(CommandLine, PrintsVersionAndSchema) {
  const CommandResult version = run_revproxyd({"-V"});
  EXPECT_EQ(version.status, 0);
  EXPECT_TRUE(has(version, "revproxyd")) << version.out;
  for (const char* library :
       {"OpenSSL", "Boost", "nghttp2: 1", "c-ares: 1", "yaml-cpp: 0", "spdlog: 1"}) {
    EXPECT_TRUE(has(version, library)) << version.out;
  }
  const CommandResult schema = run_revproxyd({"--schema"});
  EXPECT_EQ(schema.status, 0);
  EXPECT_TRUE(schema.out.starts_with("{"));
  EXPECT_TRUE(has(schema, "health_check"));
}

TEST(CommandLine, EndsWithOneWhenItMakesNoSense) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"--nonsense"},
                                             {"-c"},
                                             {"-c", "/nonexistent.yaml"},
                                             {"-t"},
                                             {"--listen", "127.0.0.1:0"},
                                             {"--to", "http://127.0.0.1:1"},
                                             {"ctl"}}) {
    EXPECT_EQ(run_revproxyd(arguments).status, 1) << (arguments.empty() ? "" : arguments.front());
  }
}

TEST(CommandLine, EndsWithOneOnABadFile) { EXPECT_EQ(run_with("nonsense: 1\n", {}).status, 1); }

TEST(CommandLine, EndsWithThreeWhenItCannotBind) {
  const Origin holder;
  const CommandResult result = run_with("listeners: [ { address: '" + holder.address() +
                                            "' } ]\nroutes: [ { respond: { body: x } } ]\n",
                                        {});
  EXPECT_EQ(result.status, 3) << result.out;
  EXPECT_TRUE(has(result, holder.address())) << result.out;
}

// Sockets of two processes could share the port, and each would get a part of the connections.
TEST(CommandLine, EndsWithThreeWhenAnotherDaemonListensThere) {
  const Daemon first(std::string(kPlainListener) + "routes: [ { respond: { body: first } } ]\n");
  const std::string address = "127.0.0.1:" + std::to_string(first.port());
  const CommandResult result = run_with(
      "listeners: [ { address: '" + address + "' } ]\nroutes: [ { respond: { body: x } } ]\n", {});
  EXPECT_EQ(result.status, 3) << result.out;
  EXPECT_TRUE(has(result, address)) << result.out;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(fetch(first.port()).body, "first");
}

TEST(CommandLine, EndsWithThreeWhenAnotherDaemonListensOnOneOfSeveralAddresses) {
  const Daemon first(
      "listeners: [ { name: web, address: '127.0.0.2:0' } ]\n"
      "routes: [ { respond: { body: first } } ]\n");
  const std::string port = std::to_string(first.port());
  const CommandResult result =
      run_with("listeners: [ { address: '127.0.0.1:" + port + "' }, { address: '127.0.0.2:" + port +
                   "' } ]\nroutes: [ { respond: { body: x } } ]\n",
               {});
  EXPECT_EQ(result.status, 3) << result.out;
  EXPECT_TRUE(has(result, "127.0.0.2:" + port)) << result.out;
}

TEST(CommandLine, CtlTakesThePlaceOfWhoeverHasBeenSilentLongest) {
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\n");
  std::vector<RawClient> silent;
  for (int i = 0; i < 16; ++i) silent.push_back(RawClient::unix_socket(daemon.admin_socket()));
  EXPECT_EQ(daemon.ctl("stats").status, 0);
  EXPECT_NE(silent.front().until_end().find("busy"), std::string::npos);
  silent.back().send("stats\n");
  EXPECT_TRUE(silent.back().until_end().starts_with("ok\n"));
}

TEST(CommandLine, CtlDoesNotWaitForEverForADaemonThatStandsStill) {
  const Daemon daemon(std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\n");
  daemon.signal(SIGSTOP);
  const CommandResult result = daemon.ctl("status");
  EXPECT_EQ(result.status, 3);
  EXPECT_TRUE(has(result, "in time")) << result.out;
  daemon.signal(SIGCONT);
}

TEST(CommandLine, SaysOnceWhatIsWrongWithFilesOfTls) {
  const CommandResult result = run_with(
      "listeners: [ { name: tls, address: ':8443', tls: {} } ]\ncertificates: [ { cert: "
      "/nonexistent/cert, key: /nonexistent/key } ]\nupstreams: { u: { servers: [ { url: https://a "
      "} ], "
      "tls: { ca: /nonexistent/ca } } }\nroutes: [ { to: u } ]\n",
      {"-t"});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(has(result, "/nonexistent/cert")) << result.out;
  EXPECT_TRUE(has(result, "ca /nonexistent/ca: cannot read: No such file or directory"))
      << result.out;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 2) << result.out;
}

TEST(CommandLine, AStrictStartFailsForWarningsOfCertificates) {
  Certificates authority;
  const Certificate other = authority.issue_for({"other.example"});
  const std::string config =
      "listeners: [ { name: tls, address: '127.0.0.1:0', tls: {} } ]\ncertificates: [ { cert: '" +
      other.cert_file + "', key: '" + other.key_file +
      "', hosts: [ a.example ] } ]\nroutes: [ { respond: { body: x } } ]\n";
  EXPECT_EQ(run_with(config, {"-t", "--strict"}).status, 2);
  EXPECT_EQ(run_with(config, {"--strict"}).status, 2);
}

TEST(CommandLine, TellsOfCertificatesWhatAStartTells) {
  Certificates authority;
  const Certificate old = authority.issue_expired("a.example");
  std::filesystem::permissions(old.key_file, std::filesystem::perms(0644));
  const std::string config =
      "listeners: [ { name: tls, address: '127.0.0.1:0', tls: {} } ]\ncertificates: [ { cert: '" +
      old.cert_file + "', key: '" + old.key_file +
      "', hosts: [ b.example ] } ]\nroutes: [ { respond: { body: x } } ]\n";
  const CommandResult start = run_with(config, {"--strict"});
  const CommandResult tested = run_with(config, {"-t"});
  EXPECT_EQ(tested.status, 0);
  for (const std::string& trouble :
       {"key " + old.key_file + ": readable by everyone",
        "certificate " + old.cert_file + ": expired", std::string("does not cover b.example")}) {
    EXPECT_TRUE(has(start, trouble)) << start.out;
    EXPECT_TRUE(has(tested, trouble)) << tested.out;
  }
}

// The file may need secrets that only the daemon has.
TEST(CommandLine, CtlFindsTheSocketInAFileThatItCannotReadWhole) {
  Daemon daemon(std::string(kPlainListener) + "routes: [ { respond: { body: x } } ]\n");
  const std::string file = daemon.config_file() + ".other";
  write_file(file, "listeners: [ { address: '${env:REVPROXYD_NOT_SET}' } ]\nadmin: { socket: " +
                       daemon.admin_socket() + " }\n");
  const CommandResult status = run_revproxyd({"ctl", "status", "-c", file});
  EXPECT_EQ(status.status, 0) << status.out;
}

TEST(CommandLine, CtlTakesTheDefaultSocketWhereTheFileSaysNoneWhateverElseItLacks) {
  const CommandResult result =
      run_with("listeners: [ { address: '${env:REVPROXYD_NOT_SET}' } ]\n", {"ctl", "status"});
  EXPECT_NE(result.status, 1) << result.out;
  EXPECT_FALSE(has(result, "REVPROXYD_NOT_SET")) << result.out;
}

// Nor must it be taken for the default when it is the socket that cannot be read.
TEST(CommandLine, CtlAsksNobodyWhenItCannotReadTheSocketOfTheFile) {
  const CommandResult result =
      run_with("admin: { socket: '${env:REVPROXYD_NOT_SET}/x' }\n", {"ctl", "status"});
  EXPECT_EQ(result.status, 1);
  EXPECT_TRUE(has(result, "REVPROXYD_NOT_SET")) << result.out;
}

TEST(CommandLine, WhatCannotBeWrittenIsNoSuccess) {
  const Daemon daemon{std::string(kGood)};
  const auto on_a_full_disk = [](const std::string& arguments) {
    return run_command({"sh", "-c", binary_path() + " " + arguments + " > /dev/full"});
  };
  const std::string file = " -c " + daemon.config_file();
  for (const std::string& arguments :
       {std::string("-V"), std::string("-h"), std::string("--schema"), "-t" + file, "-T" + file,
        "ctl stats" + file, "ctl reload" + file}) {
    const CommandResult result = on_a_full_disk(arguments);
    EXPECT_EQ(result.status, 3) << arguments;
    EXPECT_TRUE(has(result, "cannot write to standard output")) << result.out;
  }
  EXPECT_EQ(on_a_full_disk("--nonsense").status, 1);
}

TEST(CommandLine, CtlSaysThatThePathOfTheSocketIsTooLong) {
  const std::string path = "/" + std::string(107, 'a');
  const CommandResult result = run_revproxyd({"ctl", "status", "--socket", path});
  EXPECT_EQ(result.status, 3);
  EXPECT_TRUE(has(result, path + ": the path of the socket is too long")) << result.out;
}

// What is written to standard output or error must not reach a file of the daemon's own.
TEST(CommandLine, ClosedStandardDescriptorsLeadNowhere) {
  const TempDir directory;
  const std::string file = directory.file("proxy.yaml");
  const std::string socket = directory.file("admin.sock");
  write_file(file, std::string(kGood) + "admin: { socket: " + socket + " }\n");
  const CommandResult result =
      run_command({"sh", "-c",
                   binary_path() + " -c " + file + " <&- >&- 2>&- & until [ -S " + socket +
                       " ]; do sleep 0.02; done; for i in 0 1 2; do readlink /proc/$!/fd/$i; done; "
                       "kill $!; wait"},
                  Milliseconds(20000));
  EXPECT_EQ(result.out, "/dev/null\n/dev/null\n/dev/null\n");
}

TEST(CommandLine, AStartThatFailsSaysSoOnStandardErrorWhateverTheLog) {
  const Origin holder;
  const TempDir directory;
  const CommandResult result = run_with(
      "listeners: [ { address: '" + holder.address() +
          "' } ]\nroutes: [ { respond: { body: x } } ]\nlog: { path: " + directory.file("log") +
          " }\n",
      {});
  EXPECT_EQ(result.status, 3);
  EXPECT_TRUE(has(result, holder.address())) << result.out;
}

TEST(CommandLine, EndsWithThreeWhenTheAdminSocketCannotBeMade) {
  const CommandResult result =
      run_with(std::string(kGood) + "admin: { socket: /nonexistent/admin.sock }\n", {});
  EXPECT_EQ(result.status, 3) << result.out;
}

// -t makes none.
TEST(CommandLine, AStrictStartFailsWhenTheAdminSocketCannotBeMadeAtItsDefaultPath) {
  if (std::filesystem::exists("/run/revproxyd")) GTEST_SKIP() << "it could be made here";
  const std::string config = std::string(kGood) + "access_log: off\n";
  EXPECT_EQ(run_with(config, {"-t", "--strict"}).status, 0);
  const CommandResult result = run_with(config, {"--strict"});
  EXPECT_EQ(result.status, 2) << result.out;
  EXPECT_TRUE(has(result, "warning: admin socket /run/revproxyd/admin.sock")) << result.out;
}

TEST(CommandLine, ProxiesWithoutAFile) {
  const Origin a;
  const Origin b;
  const Daemon daemon(
      std::vector<std::string>{"--listen", "127.0.0.1:0", "--to", a.url() + "," + b.url()});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(fetch(daemon.port()).body, "ok");
  EXPECT_GT(a.request_count(), 0U);
  EXPECT_GT(b.request_count(), 0U);
}

TEST(CommandLine, AStartThatFailsLeavesNoSocketBehind) {
  const TempDir directory;
  const std::string unix_path = directory.file("web.sock");
  const std::string unix_web =
      "listeners: [ { address: 'unix:" + unix_path + "' } ]\nroutes: [ { respond: {} } ]\n";
  const std::string no_admin = "admin: { socket: " + directory.file("none/admin.sock") + " }\n";
  EXPECT_EQ(run_with(unix_web + "access_log: off\n" + no_admin, {}).status, 3);
  EXPECT_FALSE(std::filesystem::exists(unix_path));
}

TEST(CommandLine, MergesIncludedFiles) {
  const TempDir directory;
  write_file(directory.file("site.yaml"), "routes: [ { respond: { body: included } } ]\n");
  const Daemon daemon(std::string(kPlainListener) + "include: [ " + directory.path() +
                      "/*.yaml ]\n");
  EXPECT_EQ(fetch(daemon.port()).body, "included");
}

}  // namespace revproxyd::testing
