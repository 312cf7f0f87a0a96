#include "net/dns_query.h"

#include <sys/time.h>

#include <algorithm>
#include <array>

#include <ares.h>

#include "revproxyd/net/resolver.h"

namespace revproxyd::net {

namespace {

bool library_works() noexcept {
  static const bool works = ::ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return works;
}

}  // namespace

DnsQuery::DnsQuery(const std::string& host, const Resolver::Options& options) {
  ares_options settings{};
  settings.timeout = static_cast<int>(options.query_timeout.count());
  settings.tries = options.rounds;
  int status = library_works()
                   ? ::ares_init_options(&channel_, &settings, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES)
                   : ARES_ENOTINITIALIZED;
  if (status == ARES_SUCCESS && !options.servers.empty())
    status = ::ares_set_servers_ports_csv(channel_, options.servers.c_str());
  if (status != ARES_SUCCESS) {
    end(v4_, status);
    end(v6_, status);
    return;
  }
  ask(v4_, host, AF_INET);
  ask(v6_, host, AF_INET6);
  // Known without asking anybody: /etc/hosts speaks for both families.
  if (!v4_.records->addresses.empty() && !v6_.done) end(v6_, ARES_ENODATA);
  if (!v6_.records->addresses.empty() && !v4_.done) end(v4_, ARES_ENODATA);
}

DnsQuery::~DnsQuery() {
  if (channel_ != nullptr) ::ares_destroy(channel_);
}

void DnsQuery::ask(Question& question, const std::string& host, int family) {
  ares_addrinfo_hints hints{};
  hints.ai_family = family;
  ::ares_getaddrinfo(channel_, host.c_str(), nullptr, &hints, &DnsQuery::on_answer, &question);
}

void DnsQuery::on_answer(void* question, int status, int /*timeouts*/, ares_addrinfo* found) {
  auto& answered = *static_cast<Question*>(question);
  DnsQuery& query = *answered.query;
  if (status == ARES_SUCCESS && found != nullptr) query.take(*answered.records, *found);
  if (found != nullptr) ::ares_freeaddrinfo(found);
  query.end(answered, status);
}

void DnsQuery::end(Question& question, int status) {
  question.done = true;
  DnsRecords& records = *question.records;
  if (!records.addresses.empty()) return;
  if (status == ARES_SUCCESS) status = ARES_ENODATA;
  records.failed = status != ARES_ENODATA && status != ARES_ENOTFOUND;
  if (records.failed || answer_.complete()) answer_.problem = ::ares_strerror(status);
}

void DnsQuery::take(DnsRecords& records, const ares_addrinfo& found) {
  std::vector<Address>& out = records.addresses;
  int ttl = found.nodes != nullptr ? found.nodes->ai_ttl : 0;
  for (const ares_addrinfo_cname* alias = found.cnames; alias != nullptr; alias = alias->next)
    ttl = std::min(ttl, alias->ttl);
  for (const ares_addrinfo_node* node = found.nodes; node != nullptr; node = node->ai_next) {
    ttl = std::min(ttl, node->ai_ttl);
    Address address(node->ai_addr, node->ai_addrlen);
    address.set_port(0);
    const bool known = std::find(out.begin(), out.end(), address) != out.end();
    if (address.is_ip() && !known && out.size() < Resolver::kAddresses) out.push_back(address);
  }
  const Duration own = std::chrono::seconds(std::max(ttl, 0));
  answer_.ttl = has_ttl_ ? std::min(answer_.ttl, own) : own;
  has_ttl_ = true;
}

void DnsQuery::watch(std::vector<pollfd>& sockets) {
  first_ = sockets.size();
  count_ = 0;
  if (channel_ == nullptr) return;
  std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> open{};
  const auto bits =
      static_cast<unsigned>(::ares_getsock(channel_, open.data(), static_cast<int>(open.size())));
  for (unsigned i = 0; i < open.size(); ++i) {
    const bool readable = (bits >> i & 1u) != 0;
    const bool writable = (bits >> (i + ARES_GETSOCK_MAXNUM) & 1u) != 0;
    if (!readable && !writable) continue;
    sockets.push_back(
        {open[i], static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)), 0});
    ++count_;
  }
}

Duration DnsQuery::patience(Duration longest) const {
  timeval most{};
  most.tv_sec = longest.count() / 1000;
  most.tv_usec = longest.count() % 1000 * 1000;
  timeval room{};
  const timeval* next = ::ares_timeout(channel_, &most, &room);
  // Rounded up, or the last millisecond would be spent spinning.
  return next == nullptr ? longest : Duration(next->tv_sec * 1000 + (next->tv_usec + 999) / 1000);
}

void DnsQuery::process(const std::vector<pollfd>& sockets) {
  bool told = false;
  for (std::size_t i = first_; i < first_ + count_ && !done(); ++i) {
    const pollfd& socket = sockets[i];
    if (socket.revents == 0) continue;
    const bool readable = (socket.revents & (POLLIN | POLLERR | POLLHUP)) != 0;
    const bool writable =
        (socket.revents & (POLLOUT | POLLERR)) != 0 && (socket.events & POLLOUT) != 0;
    ::ares_process_fd(channel_, readable ? socket.fd : ARES_SOCKET_BAD,
                      writable ? socket.fd : ARES_SOCKET_BAD);
    told = true;
  }
  if (!told && !done()) ::ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

std::string_view resolver_library_version() noexcept { return ares_version(nullptr); }

}  // namespace revproxyd::net
