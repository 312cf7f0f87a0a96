#include "tests/support/namespaces.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

namespace revproxyd::testing {

namespace {

bool raise_loopback() {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_UP;
  const bool up = ::ioctl(socket, SIOCSIFFLAGS, &request) == 0;
  ::close(socket);
  return up;
}

// What is mounted from here on is nobody else's.
bool leave() {
  return ::unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 && raise_loopback();
}

}  // namespace

bool in_own_namespaces(const std::function<void()>& body) {
  bool left = false;
  std::thread thread([&] {
    left = leave();
    if (!left) return;
    try {
      body();
    } catch (const std::exception& problem) {
      ADD_FAILURE() << problem.what();
    }
  });
  thread.join();
  return left;
}

void replace_system_file(const std::string& path, const std::string& content_file) {
  if (::mount(content_file.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    throw std::runtime_error("cannot replace " + path);
}

void mount_small_disk(const std::string& directory, std::size_t bytes) {
  const std::string size = "size=" + std::to_string(bytes);
  if (::mount("tmpfs", directory.c_str(), "tmpfs", 0, size.c_str()) != 0)
    throw std::runtime_error("cannot mount a disk over " + directory);
}

void set_network(const std::string& name, std::string_view value) {
  std::ofstream file("/proc/sys/net/" + name);
  file << value;
  if (!file.flush()) throw std::runtime_error("cannot set " + name);
}

}  // namespace revproxyd::testing
