// What stands where the system keeps its certificate authorities.

#include <sys/stat.h>

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/tls/context.h"
#include "tests/support/files.h"

namespace revproxyd::tls {
namespace {

/// A variable of the environment, for as long as this lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

std::string error_of_create() {
  const auto built = ClientContext::create({});
  return built ? std::string() : built.error;
}

std::string pipe_in(const revproxyd::testing::TempDir& directory, const char* name) {
  const std::string path = directory.file(name);
  EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
  return path;
}

// Who opens a pipe waits for a writer, and whoever reads some devices waits for ever.
TEST(SystemAuthorities, APipeInPlaceOfTheFileIsRefused) {
  const revproxyd::testing::TempDir directory;
  const std::string path = pipe_in(directory, "authorities");
  const Variable file("SSL_CERT_FILE", path);
  EXPECT_EQ(error_of_create(), "the system's certificate authorities: SSL_CERT_FILE: " + path +
                                   " is not a regular file");
}

TEST(SystemAuthorities, ADeviceInPlaceOfTheFileIsRefused) {
  const Variable file("SSL_CERT_FILE", "/dev/zero");
  EXPECT_EQ(error_of_create(),
            "the system's certificate authorities: SSL_CERT_FILE: /dev/zero is not a regular file");
}

// These are read when a server's certificate is verified, which is on a worker.
TEST(SystemAuthorities, APipeInOneOfTheDirectoriesIsRefused) {
  const revproxyd::testing::TempDir good;
  const revproxyd::testing::TempDir bad;
  const std::string path = pipe_in(bad, "0123abcd.0");
  const Variable directories("SSL_CERT_DIR", good.path() + ":" + bad.path());
  EXPECT_EQ(error_of_create(), "the system's certificate authorities: SSL_CERT_DIR: " + path +
                                   " is not a regular file");
}

TEST(SystemAuthorities, WhatIsNeverOpenedMayBeThere) {
  const revproxyd::testing::TempDir directory;
  pipe_in(directory, "README");
  pipe_in(directory, "0123abcd.pem");
  const Variable directories("SSL_CERT_DIR", directory.path() + ":" + directory.file("none"));
  const Variable file("SSL_CERT_FILE", directory.file("none"));
  EXPECT_EQ(error_of_create(), "");
}

}  // namespace
}  // namespace revproxyd::tls
