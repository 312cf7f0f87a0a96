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

bool has_family(const std::vector<Address>& addresses, int family) noexcept {
  return std::ranges::any_of(addresses,
                             [family](const Address& one) { return one.family() == family; });
}

DnsQuery::DnsQuery(const std::string& host, const Resolver::Options& options, DnsFamilies expected)
    : expected_(expected) {
  ares_options settings{};
  settings.timeout = static_cast<int>(options.query_timeout.count());
  settings.tries = options.rounds;
  int status = library_works()
                   ? ::ares_init_options(&channel_, &settings, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES)
                   : ARES_ENOTINITIALIZED;
  if (status == ARES_SUCCESS && !options.servers.empty())
    status = ::ares_set_servers_ports_csv(channel_, options.servers.c_str());
  if (status != ARES_SUCCESS) {
    on_answer(this, status, 0, nullptr);
    return;
  }
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  ::ares_getaddrinfo(channel_, host.c_str(), nullptr, &hints, &DnsQuery::on_answer, this);
}

DnsQuery::~DnsQuery() {
  if (channel_ != nullptr) ::ares_destroy(channel_);
}

// c-ares calls it a success when either family is answered, whatever became of the other.
void DnsQuery::on_answer(void* self, int status, int /*timeouts*/, ares_addrinfo* found) {
  DnsQuery& query = *static_cast<DnsQuery*>(self);
  std::string name;
  if (status == ARES_SUCCESS && found != nullptr) {
    query.take(*found);
    if (found->name != nullptr) name = found->name;
  }
  if (found != nullptr) ::ares_freeaddrinfo(found);
  if (query.answer_.addresses.empty())
    query.answer_.problem = ::ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
  query.asked_ = query.missing();
  if (query.asked_ == AF_UNSPEC || name.empty()) {
    query.done_ = true;
    return;
  }
  // Absolute: this name it was that has the others, and no further one of the search list.
  if (!name.ends_with('.')) name += '.';
  ares_addrinfo_hints hints{};
  hints.ai_family = query.asked_;
  ::ares_getaddrinfo(query.channel_, name.c_str(), nullptr, &hints, &DnsQuery::on_one_family, self);
}

void DnsQuery::on_one_family(void* self, int status, int /*timeouts*/, ares_addrinfo* found) {
  DnsQuery& query = *static_cast<DnsQuery*>(self);
  if (status == ARES_SUCCESS && found != nullptr) query.take(*found);
  if (found != nullptr) ::ares_freeaddrinfo(found);
  if (status != ARES_SUCCESS && status != ARES_ENODATA && status != ARES_ENOTFOUND) {
    query.answer_.unsure = query.asked_;
    query.answer_.problem = ::ares_strerror(status);
  }
  query.done_ = true;
}

// The family that was expected and has not come beside the other.
int DnsQuery::missing() const noexcept {
  if (answer_.addresses.empty()) return AF_UNSPEC;
  if (expected_.v4 && !has_family(answer_.addresses, AF_INET)) return AF_INET;
  return expected_.v6 && !has_family(answer_.addresses, AF_INET6) ? AF_INET6 : AF_UNSPEC;
}

void DnsQuery::take(const ares_addrinfo& found) {
  std::vector<Address>& out = answer_.addresses;
  const bool first = out.empty();
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
  answer_.ttl = first ? own : std::min(answer_.ttl, own);
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
