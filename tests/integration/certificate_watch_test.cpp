// Certificates whose files change while they are served, and nobody asks for a reload.

#include <sys/stat.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/setups.h"

namespace revproxyd::testing {

namespace {

// Two looks at the files that find them alike.
constexpr Milliseconds kTakenUp{20000};

std::string serving(const Certificate& certificate) {
  return "listeners: [ { name: tls, address: '127.0.0.1:0', tls: {} } ]\ncertificates: [ { cert: " +
         certificate.cert_file + ", key: " + certificate.key_file +
         " } ]\nroutes: [ { respond: { body: ok } } ]\n";
}

std::string presented(const Daemon& daemon) {
  return RawClient(daemon.port(), ClientTls{}).stream().peer_certificate();
}

void expect_counts(const Daemon& daemon, const std::vector<std::string>& counts) {
  const std::string stats = daemon.ctl("stats").out;
  for (const std::string& count : counts)
    EXPECT_NE(stats.find(count + ","), std::string::npos) << count << " in " << stats;
}

}  // namespace

TEST(CertificateWatch, WhatItDoesIsNoReloadThatSomebodyAskedFor) {
  Certificates authority;
  const Certificate now = authority.issue_for({"a.example"});
  Daemon daemon(serving(now));
  EXPECT_FALSE(daemon.reload("nonsense: true\n"));
  std::size_t before = daemon.log_lines();
  const Certificate next = authority.issue_for({"a.example"});
  write_file(now.key_file, next.key_pem);
  write_file(now.cert_file, next.cert_pem);
  daemon.wait_log("certificates 2: ok", before, kTakenUp);
  EXPECT_EQ(presented(daemon), next.cert_pem);
  ASSERT_TRUE(comes_to(daemon, "config_generation", 2));
  const std::vector<std::string> of_reloads{"\"reloads_ok\":0", "\"reloads_failed\":1",
                                            "\"last_reload_failed\":1", "\"last_reload_time_s\":0"};
  expect_counts(daemon, of_reloads);
  expect_counts(daemon, {"\"certificate_updates_ok\":1", "\"certificate_updates_failed\":0"});
  before = daemon.log_lines();
  write_file(now.cert_file, "nothing of use");
  daemon.wait_log("the one from before stays in use", before, kTakenUp);
  EXPECT_TRUE(comes_to(daemon, "certificate_updates_failed", 1));
  daemon.wait_log("info: certificates 3: kept what could not be replaced, 1 routes", before);
  EXPECT_EQ(daemon.log().find("certificates 3: ok"), std::string::npos);
  expect_counts(daemon, of_reloads);
}

TEST(CertificateWatch, AFileThatIsNoneIsNotWaitedFor) {
  Certificates authority;
  const Certificate now = authority.issue_for({"a.example"});
  const Daemon daemon(serving(now));
  std::filesystem::remove(now.cert_file);
  ASSERT_EQ(::mkfifo(now.cert_file.c_str(), 0600), 0);
  daemon.wait_log(now.cert_file + ": cannot read: not a regular file", 0, kTakenUp);
  EXPECT_EQ(daemon.ctl("status").status, 0);
  EXPECT_EQ(presented(daemon), now.cert_pem);
}

}  // namespace revproxyd::testing
