#include "app/control.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "app/command_line.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/base/log.h"

namespace revproxyd::app {

namespace {

// Who may open the socket is trusted, but must not be able to hold the daemon up.
constexpr std::size_t kLongestVerb = 256;
constexpr Duration kPatience{5000};
constexpr std::size_t kMostClients = 16;
constexpr std::string_view kBusy = "error\nthe daemon is busy with others who ask\n";
constexpr int kBacklog = 16;
// For an operator: how long a daemon may take to hear the question, and to answer one that makes it
// do nothing.
constexpr std::chrono::seconds kAnswerPatience{10};

Task<Result<std::string>> read_line(net::Transport& transport) {
  std::string line;
  std::array<char, kLongestVerb> room;
  transport.readiness().read_deadline(kPatience, Code::header_timeout);
  for (;;) {
    auto got = co_await net::read_some(transport, room);
    if (!got) co_return got.error();
    if (*got == 0) co_return Error(Code::end_of_stream, "no verb");
    line.append(room.data(), *got);
    const std::size_t end = line.find('\n');
    if (end != std::string::npos)
      co_return std::string(ascii::trim(std::string_view(line).substr(0, end)));
    if (line.size() >= kLongestVerb) co_return Error(Code::malformed_request, "verb too long");
  }
}

void say_busy(int fd) noexcept {
  ignore(::send(fd, kBusy.data(), kBusy.size(), MSG_NOSIGNAL | MSG_DONTWAIT),
         "who has left needs no answer");
}

void limit_wait(int fd, int option) noexcept {
  const timeval patience{kAnswerPatience.count(), 0};
  ignore(::setsockopt(fd, SOL_SOCKET, option, &patience, sizeof patience), "then it waits on");
}

int unreached(const std::string& path, const char* why) {
  std::fprintf(stderr, "revproxyd: cannot reach the daemon at %s: %s\n", path.c_str(), why);
  return kExitStartFailed;
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::open(const std::string& path,
                                                           InheritedAdmin inherited,
                                                           Execute execute) {
  std::unique_ptr<ControlServer> server(new ControlServer(path, std::move(execute)));
  auto opened =
      inherited.socket ? server->listen(std::move(inherited.socket), true) : server->listen_anew();
  server->held_ = inherited.held;
  if (!opened) return opened.error();
  return server;
}

ControlServer::ControlServer(std::string path, Execute execute)
    : path_(std::move(path)), execute_(std::move(execute)) {}

Result<void> ControlServer::listen_anew() {
  net::BindAddress where;
  where.text = "unix:" + path_;
  where.path = path_;
  auto socket = net::bind_listener(where, false, kBacklog);
  if (!socket) return socket.error();
  held_ = false;
  return listen(std::move(*socket), false);
}

Result<void> ControlServer::listen(net::Descriptor socket, bool inherited) {
  auto listener = net::Listener::open(std::move(socket), {"admin", false, nullptr});
  if (!listener) return listener.error();
  // Whoever it was that listened before, nobody can come to him, unless others see his file.
  if (listener_ != nullptr && !file_.was_never_seen())
    ignore(::shutdown(listener_->fd(), SHUT_RDWR), "it is out of reach");
  listener_ = listener->get();
  file_ = SocketFile(path_, inherited);
  accepting_.spawn(accept_loop(std::move(*listener)));
  return {};
}

Result<void> ControlServer::restore() {
  if (!file_.is_lost()) return {};
  auto opened = listen_anew();
  if (opened) log::Line(log::Level::info) << "admin socket " << path_ << ": made anew";
  return opened;
}

void ControlServer::look_for_file() {
  if (!file_.is_newly_lost()) return;
  log::Line(log::Level::warn) << "admin socket " << path_ << ": "
                              << file_.loss("its file was removed, nobody can connect")
                              << "; a reload (SIGHUP) makes it anew";
}

int ControlServer::fd() const noexcept {
  return listener_ == nullptr || file_.is_out_of_reach() ? -1 : listener_->fd();
}

ControlServer::~ControlServer() {
  // Another process may listen at it by now: a successor, unless it has another path. A service
  // manager would take the question for a client, and start the service anew.
  if (!held_) remove_idle_socket(path_);
}

void ControlServer::hand_over() noexcept { accepting_.cancel(Code::shutdown); }

void ControlServer::stop() noexcept {
  accepting_.cancel(Code::shutdown);
  tasks_.cancel(Code::shutdown);
}

Task<void> ControlServer::accept_loop(std::unique_ptr<net::Listener> listener) {
  for (;;) {
    auto accepted = co_await listener->accept();
    if (!accepted) break;
    if (make_room()) {
      tasks_.spawn(serve(std::move(*accepted)));
    } else {
      say_busy(accepted->socket.get());
    }
  }
  if (listener_ == listener.get()) listener_ = nullptr;
}

// Who has come and asks nothing keeps his place only until another one needs it.
bool ControlServer::make_room() noexcept {
  if (tasks_.size() < kMostClients) return true;
  if (silent_.empty()) return false;
  silent_.front()->cancel(Code::connection_limit);
  silent_.pop_front();
  return true;
}

Task<Result<std::string>> ControlServer::next_verb(net::Transport& transport) {
  CancelScope place(co_await current_scope());
  silent_.push_back(&place);
  auto reading = read_line(transport);
  auto scoped = std::move(reading).under(place);
  auto verb = co_await std::move(scoped);
  std::erase(silent_, &place);
  if (!verb && verb.error().code() == Code::connection_limit) say_busy(transport.fd());
  co_return std::move(verb);
}

Task<void> ControlServer::serve(net::Accepted accepted) {
  auto transport = net::make_socket_transport(accepted.socket.release());
  if (!transport) co_return;
  auto verb = co_await next_verb(**transport);
  if (!verb) co_return;
  auto verdict = co_await execute_(*verb);
  std::string answer = (verdict.ok ? "ok\n" : "error\n") + verdict.text;
  if (!answer.ends_with('\n')) answer += '\n';
  iovec piece = net::piece_of(answer);
  std::span<iovec> pieces(&piece, 1);
  auto written = co_await net::write_all(**transport, pieces, kPatience);
  ignore(written, "the operator has left");
}

int ask_daemon(const std::string& path, const std::string& verb) {
  const auto address = net::Address::unix_path(path);
  if (!address) return unreached(path, "the path of the socket is too long");
  const net::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  limit_wait(socket.get(), SO_SNDTIMEO);  // of connect(), too, while its queue is full
  const bool works = verb == "reload" || verb == "upgrade";  // for as long as it takes
  if (!works) limit_wait(socket.get(), SO_RCVTIMEO);
  if (::connect(socket.get(), address->data(), address->size()) != 0)
    return unreached(path, errno == EAGAIN ? "it takes nobody" : std::strerror(errno));
  const std::string line = verb + "\n";
  // Who is refused for want of room has the answer already, and the other side closed.
  ignore(::send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL), "the answer tells");
  std::string answer;
  std::array<char, 4096> room;
  ssize_t got = 0;
  while ((got = ::recv(socket.get(), room.data(), room.size(), 0)) > 0)
    answer.append(room.data(), static_cast<std::size_t>(got));
  const std::size_t end = answer.find('\n');
  const bool ok = answer.starts_with("ok\n");
  if (end != std::string::npos) std::fputs(answer.c_str() + end + 1, ok ? stdout : stderr);
  if (end == std::string::npos) {
    std::fputs(got < 0 && errno == EAGAIN ? "revproxyd: the daemon gave no answer in time\n"
                                          : "revproxyd: the daemon gave no answer\n",
               stderr);
    return kExitStartFailed;
  }
  return ok ? kExitOk : kExitBadConfiguration;
}

}  // namespace revproxyd::app
