#include "tests/support/origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include <gtest/gtest.h>

namespace revproxyd::testing {

namespace {

constexpr std::size_t kRecorded = 1024 * 1024;
constexpr int kBacklog = 1024;
constexpr Milliseconds kIdle{120000};

int listen_unix(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ::unlink(path.c_str());
  ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  return fd;
}

int bind_tcp(std::uint16_t& port, int receive_buffer) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (receive_buffer != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("origin: port " + std::to_string(port) + " is taken");
  }
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

std::string response_text(std::string_view body, int status, std::string_view fields) {
  return "HTTP/1.1 " + std::to_string(status) + " Reason\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

OriginExchange::OriginExchange(Origin& origin, Stream& stream, MessageReader& reader,
                               std::size_t connection)
    : origin_(origin),
      stream_(stream),
      reader_(reader),
      connection_(connection),
      request_(std::make_shared<Request>()) {}

const std::string& OriginExchange::read_body() {
  if (body_read_) return request_->body;
  body_read_ = true;
  Request whole = *request_;
  reader_.read_body(whole);
  const std::lock_guard lock(origin_.mutex_);
  *request_ = std::move(whole);
  return request_->body;
}

std::size_t OriginExchange::discard_body() {
  body_read_ = true;
  const std::size_t size = request_->chunked ? 0 : std::stoull(request_->field("Content-Length"));
  std::size_t left = size;
  while (left > 0) left -= reader_.bytes(std::min<std::size_t>(left, 65536)).size();
  return size;
}

OriginExchange& OriginExchange::send(std::string_view bytes) {
  stream_.send(bytes);
  return *this;
}

void OriginExchange::respond(std::string_view body, int status, std::string_view fields) {
  const std::string text = response_text(body, status, fields);
  send(request_->method == "HEAD" ? std::string_view(text).substr(0, text.size() - body.size())
                                  : text);
}

void OriginExchange::close() {
  const std::lock_guard lock(origin_.mutex_);
  std::erase(origin_.open_, &stream_);
  stream_.close();
}

void OriginExchange::reset() {
  const std::lock_guard lock(origin_.mutex_);
  std::erase(origin_.open_, &stream_);
  stream_.reset();
}

bool OriginExchange::peer_closes(Milliseconds patience) {
  stream_.set_patience(patience);
  try {
    while (!stream_.receive().empty()) {
    }
  } catch (const TimedOut&) {
    return false;
  } catch (const Disconnected&) {
  }
  return true;
}

Origin::Origin(std::string body)
    : Origin([body = std::move(body)](OriginExchange& exchange) {
        exchange.read_body();
        exchange.respond(body);
      }) {}

Origin::Origin(OriginScript script, OriginOptions options)
    : options_(std::move(options)), script_(std::move(script)) {
  if (options_.tls) context_ = server_context(*options_.tls);
  start();
}

Origin::~Origin() {
  stop();
  for (const std::string& problem : problems_) ADD_FAILURE() << "origin: " << problem;
}

std::string Origin::url() const {
  if (!options_.unix_path.empty()) return "unix:" + options_.unix_path;
  return (options_.tls ? "https://" : "http://") + address();
}

void Origin::set_script(OriginScript script) {
  const std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

void Origin::start() {
  if (listener_ >= 0) return;
  stopping_ = false;
  listener_ = options_.unix_path.empty() ? bind_tcp(port_, options_.receive_buffer)
                                         : listen_unix(options_.unix_path);
  ::listen(listener_, kBacklog);
  acceptor_ = std::thread([this, listener = listener_] { accept_loop(listener); });
}

void Origin::stop() {
  if (listener_ < 0) return;
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  listener_ = -1;
  {
    const std::lock_guard lock(mutex_);
    for (const Stream* stream : open_) stream->interrupt();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Origin::accept_loop(int listener) {
  while (!stopping_) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const std::lock_guard lock(mutex_);
    received_.emplace_back();
    threads_.emplace_back([this, fd, number = received_.size() - 1] { serve(fd, number); });
  }
}

void Origin::serve(int fd, std::size_t number) {
  Stream stream(fd);
  stream.set_patience(kIdle);
  {
    const std::lock_guard lock(mutex_);
    open_.push_back(&stream);
    if (stopping_) stream.interrupt();
  }
  try {
    if (handshake(stream)) converse(stream, number);
  } catch (const Disconnected&) {
    // Proxies may break off when they like; tests look at what came before.
  } catch (const TimedOut&) {
  } catch (const std::exception& problem) {
    const std::lock_guard lock(mutex_);
    problems_.emplace_back(problem.what());
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_, &stream);
}

bool Origin::handshake(Stream& stream) {
  if (!context_) return true;
  try {
    stream.start_server_tls(context_.get());
  } catch (const TlsError&) {
    ++failed_handshakes_;
    return false;
  }
  resumed_ += stream.resumed() ? 1 : 0;
  const std::lock_guard lock(mutex_);
  server_names_.push_back(stream.sni());
  return true;
}

void Origin::converse(Stream& stream, std::size_t number) {
  MessageReader reader([&, this] {
    std::string bytes = stream.receive();
    record(number, bytes);
    return bytes;
  });
  if (options_.raw) {
    OriginExchange exchange(*this, stream, reader, number);
    return run_script(exchange);
  }
  while (stream.is_open()) {
    OriginExchange exchange(*this, stream, reader, number);
    auto head = reader.request_head();
    if (!head) return;
    *exchange.request_ = std::move(*head);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(exchange.request_);
    }
    run_script(exchange);
    if (stream.is_open()) exchange.read_body();
  }
}

void Origin::run_script(OriginExchange& exchange) {
  OriginScript script;
  {
    const std::lock_guard lock(mutex_);
    script = script_;
  }
  const std::size_t now = ++active_;
  std::size_t most = most_at_once_;
  while (now > most && !most_at_once_.compare_exchange_weak(most, now)) {
  }
  struct Leave {
    std::atomic<std::size_t>& count;
    ~Leave() { --count; }
  } const leave{active_};
  script(exchange);
}

void Origin::record(std::size_t connection, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  std::string& all = received_[connection];
  all += bytes.substr(0, kRecorded - std::min(kRecorded, all.size()));
}

std::vector<Request> Origin::requests() const {
  const std::lock_guard lock(mutex_);
  std::vector<Request> out;
  for (const auto& request : requests_) out.push_back(*request);
  return out;
}

Request Origin::request(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  if (index >= requests_.size())
    throw std::runtime_error("the origin got only " + std::to_string(requests_.size()) +
                             " requests");
  return *requests_[index];
}

std::size_t Origin::request_count() const {
  const std::lock_guard lock(mutex_);
  return requests_.size();
}

bool Origin::wait_requests(std::size_t count, Milliseconds patience) const {
  return wait_until([&] { return request_count() >= count; }, patience);
}

bool Origin::wait_requests_for(std::string_view target, std::size_t count) const {
  return wait_until([&] {
    const std::vector<Request> all = requests();
    return std::count_if(all.begin(), all.end(), [&](const Request& one) {
             return one.target == target;
           }) >= static_cast<std::ptrdiff_t>(count);
  });
}

std::vector<std::string> Origin::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

std::size_t Origin::connections() const {
  const std::lock_guard lock(mutex_);
  return received_.size();
}

std::size_t Origin::open_connections() const {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

std::vector<std::string> Origin::server_names() const {
  const std::lock_guard lock(mutex_);
  return server_names_;
}

}  // namespace revproxyd::testing
