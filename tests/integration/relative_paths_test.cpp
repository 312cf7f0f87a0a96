// Relative paths in a configuration belong to the directory of the file that says them, whatever
// the working directory is.

#include <signal.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTlsListener =
    "listeners: [ { name: web, address: '127.0.0.1:0', tls: {} } ]\n"
    "routes: [ { respond: { body: here } } ]\n";
constexpr std::string_view kCertificate =
    "certificates: [ { hosts: test, cert: a.pem, key: ./tls/a.key } ]\n";

/// Puts a.pem and tls/a.key there.
void put_certificate(const std::string& directory, const Certificate& certificate) {
  fs::create_directories(directory + "/tls");
  fs::copy_file(certificate.cert_file, directory + "/a.pem");
  fs::copy_file(certificate.key_file, directory + "/tls/a.key");
}

/// A site directory with a configuration that says nothing but relative paths.
class Site {
 public:
  explicit Site(const std::string& config = std::string(kTlsListener) + std::string(kCertificate))
      : certificate(authority.issue_for({"test"})) {
    put_certificate(directory.file(""), certificate);
    write_file(file(), config + "workers: 1\naccess_log: { path: access.log }\nadmin: { socket: " +
                           directory.file("admin.sock") + " }\n");
  }
  std::string file() const { return directory.file("proxy.yaml"); }
  CommandResult run_in(const std::string& working_directory,
                       const std::vector<std::string>& arguments) const {
    std::vector<std::string> argv{"env", "-C", working_directory,
                                  fs::absolute(binary_path()).string()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run_command(argv);
  }

  TempDir directory;
  Certificates authority;
  Certificate certificate;
};

std::string greeting(const Daemon& daemon, const Certificates& authority) {
  ClientTls tls;
  tls.ca = authority.authority_file();
  tls.sni = "test";
  return RawClient(daemon.port("web"), tls).get("/").body;
}

}  // namespace

TEST(RelativePaths, BelongToTheFileForATestOfItFromAnywhere) {
  const Site site;
  const TempDir elsewhere;
  for (const std::string& from : {site.directory.file(""), elsewhere.file(""), std::string("/")}) {
    const CommandResult result = site.run_in(from, {"-t", "-c", site.file()});
    EXPECT_EQ(result.status, 0) << from << "\n" << result.out;
  }
  EXPECT_EQ(site.run_in(site.directory.file(""), {"-t", "-c", "proxy.yaml"}).status, 0);
  // There is a file of this name where the test is run, and none where the configuration lies.
  put_certificate(elsewhere.file(""), site.certificate);
  fs::remove(site.directory.file("a.pem"));
  const CommandResult missing = site.run_in(elsewhere.file(""), {"-t", "-c", site.file()});
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.out.find(site.directory.file("a.pem")), std::string::npos) << missing.out;
}

// The daemon runs where the tests do; its configuration is named by a relative path itself.
TEST(RelativePaths, BelongToTheFileForADaemonThatRunsElsewhere) {
  const Site site;
  const std::string file = fs::relative(site.file()).string();
  ASSERT_NE(file.front(), '/');
  Daemon daemon(std::vector<std::string>{"-c", file});
  EXPECT_EQ(greeting(daemon, site.authority), "here");
  EXPECT_TRUE(daemon.reload());
  daemon.signal(SIGUSR2);
  daemon.follow();
  EXPECT_EQ(greeting(daemon, site.authority), "here");
  EXPECT_TRUE(wait_until([&] {
    return read_file(site.directory.file("access.log")).find("\"path\":\"/\"") != std::string::npos;
  }));
  EXPECT_FALSE(fs::exists("access.log"));
}

TEST(RelativePaths, StayThoseOfTheFileOverReloadAndUpgrade) {
  Certificates authority;
  const Certificate certificate = authority.issue_for({"test"});
  const std::string config = std::string(kTlsListener) + "access_log: { path: access.log }\n";
  Daemon daemon(config + "certificates: [ { hosts: test, cert: " + certificate.cert_file +
                ", key: " + certificate.key_file + " } ]\n");
  put_certificate(daemon.directory().file(""), certificate);
  ASSERT_TRUE(daemon.reload(config + std::string(kCertificate)));
  EXPECT_EQ(greeting(daemon, authority), "here");
  const CommandResult upgraded = daemon.upgrade();
  ASSERT_EQ(upgraded.status, 0) << upgraded.out;
  EXPECT_EQ(greeting(daemon, authority), "here");
  EXPECT_TRUE(wait_until([&] { return daemon.access_entries().size() == 2; }));
}

TEST(RelativePaths, OfAnIncludedFileBelongToItsOwnDirectory) {
  const Site site(std::string(kTlsListener) + "include: sites/*.yaml\n");
  put_certificate(site.directory.file("sites"), site.certificate);
  fs::remove(site.directory.file("a.pem"));
  write_file(site.directory.file("sites/a.yaml"), std::string(kCertificate));
  const CommandResult tested = site.run_in("/", {"-t", "-c", site.file()});
  EXPECT_EQ(tested.status, 0) << tested.out;
  const Daemon daemon(std::vector<std::string>{"-c", site.file()});
  EXPECT_EQ(greeting(daemon, site.authority), "here");
}

TEST(RelativePaths, ArePrintedSoThatTheyLoadFromAnywhere) {
  const Site site;
  const TempDir elsewhere;
  const CommandResult printed = site.run_in(site.directory.file(""), {"-T", "-c", "proxy.yaml"});
  ASSERT_EQ(printed.status, 0) << printed.out;
  const std::string whole = fs::canonical(site.directory.file(".")).string() + "/";
  for (const std::string& line :
       {"cert: " + whole + "a.pem", "key: " + whole + "tls/a.key", "path: " + whole + "access.log"})
    EXPECT_NE(printed.out.find(line + "\n"), std::string::npos) << printed.out;
  write_file(elsewhere.file("printed.yaml"), printed.out);
  EXPECT_EQ(site.run_in("/", {"-t", "-c", elsewhere.file("printed.yaml")}).status, 0);
  EXPECT_EQ(site.run_in("/", {"-T", "-c", elsewhere.file("printed.yaml")}).out, printed.out);
}

}  // namespace revproxyd::testing
