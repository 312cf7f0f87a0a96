#pragma once
// A DNS server on loopback that says what a test tells it to.

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "revproxyd/net/address.h"
#include "revproxyd/net/descriptor.h"
#include "revproxyd/net/listener.h"

namespace revproxyd::net::test {

/// Answers A, AAAA and CNAME questions over UDP from a table; names outside it do not exist.
class DnsServer {
 public:
  struct Script {
    std::string alias;               // answered as a CNAME, with the alias' own records behind it
    std::vector<std::string> hosts;  // IPv4 and IPv6
    std::uint32_t ttl = 60;
    bool silent = false;
    int code = 0;     // RCODE
    int v4_code = 0;  // of questions for IPv4 alone
  };

  DnsServer()
      : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), stop_(::eventfd(0, EFD_CLOEXEC)) {
    const Address loopback = *Address::ip("127.0.0.1", 0);
    ::bind(socket_.get(), loopback.data(), loopback.size());
    thread_ = std::thread([this] { run(); });
  }
  ~DnsServer() {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
  }

  /// "127.0.0.1:port", for Resolver::Options.
  std::string address() const { return local_address(socket_.get()).text(); }
  void set(const std::string& name, Script script) {
    const std::lock_guard lock(mutex_);
    scripts_[name] = std::move(script);
  }
  void remove(const std::string& name) {
    const std::lock_guard lock(mutex_);
    scripts_.erase(name);
  }
  /// Questions for addresses of version 4 so far.
  std::size_t questions() {
    const std::lock_guard lock(mutex_);
    return questions_;
  }
  bool wait_for_questions(std::size_t count) {
    std::unique_lock lock(mutex_);
    return asked_.wait_for(lock, std::chrono::seconds(10), [&] { return questions_ >= count; });
  }

 private:
  static constexpr std::uint16_t kA = 1;
  static constexpr std::uint16_t kCname = 5;
  static constexpr std::uint16_t kAaaa = 28;

  void run() {
    for (;;) {
      std::array<pollfd, 2> wait{pollfd{socket_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
      ::poll(wait.data(), wait.size(), -1);
      if (wait[1].revents != 0) return;
      std::array<char, 1500> bytes{};
      sockaddr_in from{};
      socklen_t size = sizeof from;
      auto* address = reinterpret_cast<sockaddr*>(&from);
      const ssize_t got = ::recvfrom(socket_.get(), bytes.data(), bytes.size(), 0, address, &size);
      if (got < 17) continue;
      const std::string reply = answer(std::string(bytes.data(), static_cast<std::size_t>(got)));
      if (!reply.empty()) ::sendto(socket_.get(), reply.data(), reply.size(), 0, address, size);
    }
  }

  static void put16(std::string& out, unsigned value) {
    out += static_cast<char>(value >> 8 & 0xFF);
    out += static_cast<char>(value & 0xFF);
  }
  static std::string wire_name(const std::string& name) {
    std::string out;
    for (std::size_t begin = 0; begin < name.size();) {
      const std::size_t end = std::min(name.find('.', begin), name.size());
      out += static_cast<char>(end - begin);
      out += name.substr(begin, end - begin);
      begin = end + 1;
    }
    return out + '\0';
  }
  static void put_record(std::string& out, const std::string& owner, std::uint16_t type,
                         std::uint32_t ttl, const std::string& data) {
    out += wire_name(owner);
    put16(out, type);
    put16(out, 1);
    put16(out, ttl >> 16);
    put16(out, ttl & 0xFFFF);
    put16(out, static_cast<unsigned>(data.size()));
    out += data;
  }

  std::string answer(const std::string& query) {
    std::size_t at = 12;
    std::string name;
    while (at < query.size() && query[at] != 0) {
      const auto length = static_cast<std::size_t>(query[at]);
      if (!name.empty()) name += '.';
      name += query.substr(at + 1, length);
      at += length + 1;
    }
    const auto type = static_cast<std::uint16_t>(static_cast<unsigned char>(query[at + 2]));
    const std::string question = query.substr(12, at + 5 - 12);

    const std::lock_guard lock(mutex_);
    if (type == kA) {
      ++questions_;
      asked_.notify_all();
    }
    std::string records;
    unsigned count = 0;
    int code = 0;
    auto found = scripts_.find(name);
    if (found == scripts_.end()) code = 3;
    while (found != scripts_.end()) {
      const Script& script = found->second;
      if (script.silent) return {};
      code = type == kA && script.v4_code != 0 ? script.v4_code : script.code;
      for (const std::string& host : script.hosts) {
        const Address address = *Address::ip(host, 0);
        const bool v4 = address.family() == AF_INET;
        if (v4 != (type == kA) || code != 0) continue;
        const auto all = address.bytes();
        const std::string data(reinterpret_cast<const char*>(all.data()), all.size());
        put_record(records, found->first, v4 ? kA : kAaaa, script.ttl, v4 ? data.substr(12) : data);
        ++count;
      }
      if (script.alias.empty()) break;
      put_record(records, found->first, kCname, script.ttl, wire_name(script.alias));
      ++count;
      found = scripts_.find(script.alias);
    }
    std::string out = query.substr(0, 2);
    put16(out, 0x8180u | static_cast<unsigned>(code));
    put16(out, 1);
    put16(out, count);
    put16(out, 0);
    put16(out, 0);
    return out + question + records;
  }

  Descriptor socket_;
  Descriptor stop_;
  std::mutex mutex_;
  std::condition_variable asked_;
  std::map<std::string, Script> scripts_;
  std::size_t questions_ = 0;
  std::thread thread_;
};

}  // namespace revproxyd::net::test
