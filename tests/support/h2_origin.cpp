#include "tests/support/h2_origin.h"

#include <poll.h>

#include <algorithm>

#include <gtest/gtest.h>

namespace revproxyd::testing {

namespace {

// A record that is not whole yet must not hold those who send.
constexpr Milliseconds kRecord{20};
constexpr int kPoll = 1000;

h2::Fields with_status(int status, const h2::Fields& fields) {
  h2::Fields out{{":status", std::to_string(status)}};
  out.insert(out.end(), fields.begin(), fields.end());
  return out;
}

OriginOptions raw_origin(const H2OriginOptions& options) {
  OriginOptions out;
  out.tls = options.tls;
  if (out.tls) out.tls->alpn = "h2";
  out.raw = true;
  return out;
}

}  // namespace

H2Link::H2Link(Stream& stream, const H2StateOptions& options, std::size_t number)
    : number_(number), tls_(!stream.tls_version().empty()), stream_(&stream), state_(options) {}

void H2Link::send(std::string_view bytes) {
  const std::lock_guard lock(send_mutex_);
  if (stream_ == nullptr) throw Disconnected("the connection has ended");
  stream_->send(bytes);
}

void H2Link::settings(const h2::Settings& list) {
  {
    const std::lock_guard lock(mutex_);
    state_.note_sent(list);
  }
  send(h2::settings(list));
}

void H2Link::goaway(std::uint32_t last, std::uint32_t code) { send(h2::goaway(last, code)); }

void H2Link::send_data(std::uint32_t stream, std::string_view bytes, bool end) {
  if (bytes.empty()) return send(h2::data(stream, {}, end));
  while (!bytes.empty()) {
    std::size_t size = 0;
    {
      std::unique_lock lock(mutex_);
      const bool woken = changed_.wait_for(lock, kPatience, [&] {
        return closed_ || state_.message(stream).reset || state_.window(stream) > 0;
      });
      if (!woken) throw TimedOut("no window to send in");
      if (closed_ || state_.message(stream).reset) throw Disconnected("the stream has ended");
      size = std::min({bytes.size(), state_.window(stream), state_.max_frame_size()});
      state_.spend(stream, size);
    }
    send(h2::data(stream, bytes.substr(0, size), end && size == bytes.size()));
    bytes.remove_prefix(size);
  }
}

void H2Link::close() {
  const std::lock_guard lock(send_mutex_);
  if (stream_ != nullptr) stream_->interrupt();
}

bool H2Link::wait(const std::function<bool(const H2State&)>& holds, Milliseconds patience) {
  std::unique_lock lock(mutex_);
  bool held = false;
  changed_.wait_for(lock, patience, [&] { return (held = holds(state_)) || closed_; });
  return held;
}

H2Message H2Link::message(std::uint32_t stream) const {
  const std::lock_guard lock(mutex_);
  return state_.message(stream);
}

bool H2Link::is_closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void H2Link::run(const h2::Settings& first, const OnRequest& on_request) {
  settings(first);
  std::string buffer;
  std::size_t preface = h2::kPreface.size();
  std::uint32_t newest = 0;
  for (std::string more = receive(); !more.empty(); more = receive()) {
    buffer += more;
    if (buffer.size() < preface) continue;
    if (preface != 0 && !buffer.starts_with(h2::kPreface))
      throw std::runtime_error("no preface of HTTP/2: " + buffer.substr(0, preface));
    buffer.erase(0, std::exchange(preface, 0));
    while (const auto frame = h2::cut_frame(buffer)) {
      std::string answer;
      bool request = false;
      {
        const std::lock_guard lock(mutex_);
        answer = state_.take(*frame);
        request = frame->stream > newest && state_.message(frame->stream).has_head();
      }
      changed_.notify_all();
      if (!answer.empty()) send(answer);
      if (request) on_request(newest = frame->stream);
    }
  }
}

void H2Link::end() {
  {
    const std::lock_guard lock(send_mutex_);
    stream_ = nullptr;
  }
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

std::string H2Link::receive() {
  if (!tls_) return stream_->receive();
  for (;;) {
    pollfd wanted{stream_->fd(), POLLIN, 0};
    if (::poll(&wanted, 1, kPoll) == 0) continue;
    const std::lock_guard lock(send_mutex_);
    stream_->set_patience(kRecord);
    try {
      std::string out = stream_->receive();
      stream_->set_patience(kPatience);
      return out;
    } catch (const TimedOut&) {
      stream_->set_patience(kPatience);
    }
  }
}

bool H2Exchange::wait(const std::function<bool(const H2Message&)>& holds, Milliseconds patience) {
  return link_->wait([&](const H2State& state) { return holds(state.message(stream_)); }, patience);
}

std::string H2Exchange::read_body() {
  wait([](const H2Message& message) { return message.ended || message.reset; });
  H2Message whole = request();
  if (!whole.ended) throw Disconnected("the body is not whole");
  return whole.body;
}

std::optional<std::uint32_t> H2Exchange::wait_reset(Milliseconds patience) {
  wait([](const H2Message& message) { return message.reset.has_value(); }, patience);
  return request().reset;
}

void H2Exchange::interim(int status, const h2::Fields& fields) { head(status, fields); }

void H2Exchange::head(int status, const h2::Fields& fields, bool end) {
  link_->send(
      h2::headers(stream_, with_status(status, fields), end ? h2::kEndBoth : h2::kEndHeaders));
}

void H2Exchange::trailers(const h2::Fields& fields) { link_->send(h2::headers(stream_, fields)); }

void H2Exchange::respond(std::string_view body, int status, const h2::Fields& fields) {
  h2::Fields all = fields;
  all.emplace_back("content-length", std::to_string(body.size()));
  const bool bare = body.empty() || request().method() == "HEAD";
  head(status, all, bare);
  if (!bare) data(body, true);
}

void H2Exchange::reset(std::uint32_t code) { link_->send(h2::rst_stream(stream_, code)); }

// Those of one connection's requests; joined when this goes, and the link must have ended then.
class H2Origin::Threads {
 public:
  Threads() = default;
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() {
    for (Entry& entry : entries_) entry.thread.join();
  }

  void start(std::function<void()> work) {
    std::erase_if(entries_, [](Entry& entry) {
      if (!entry.done) return false;
      entry.thread.join();
      return true;
    });
    Entry& entry = entries_.emplace_back();
    entry.thread = std::thread([&entry, work = std::move(work)] {
      work();
      entry.done = true;
    });
  }

 private:
  struct Entry {
    std::thread thread;
    std::atomic<bool> done = false;
  };
  std::list<Entry> entries_;
};

H2Origin::H2Origin(std::string body)
    : H2Origin([body = std::move(body)](const H2Request& request) {
        request->read_body();
        request->respond(body);
      }) {}

H2Origin::H2Origin(H2Script script, H2OriginOptions options)
    : options_(std::move(options)),
      script_(std::move(script)),
      origin_([this](OriginExchange& connection) { converse(connection); }, raw_origin(options_)) {}

H2Origin::~H2Origin() {
  origin_.stop();
  for (const std::string& problem : problems_) ADD_FAILURE() << "origin: " << problem;
}

std::string H2Origin::url() const { return (options_.tls ? "https://" : "h2c://") + address(); }

void H2Origin::set_script(H2Script script) {
  const std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

void H2Origin::converse(OriginExchange& connection) {
  std::shared_ptr<H2Link> link;
  {
    const std::lock_guard lock(mutex_);
    link = std::make_shared<H2Link>(connection.stream(), options_.state, links_.size());
    links_.push_back(link);
  }
  Threads threads;
  struct End {
    H2Link& link;
    ~End() { link.end(); }
  } const end{*link};
  std::this_thread::sleep_for(options_.settings_delay);
  link->run(options_.settings, [&](std::uint32_t stream) {
    const auto request = std::make_shared<H2Exchange>(link, stream);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (options_.on_reader) return run_script(request);
    threads.start([this, request] { run_script(request); });
  });
}

void H2Origin::run_script(const H2Request& request) {
  H2Script script;
  {
    const std::lock_guard lock(mutex_);
    script = script_;
  }
  const std::size_t now = ++active_;
  std::size_t most = most_at_once_;
  while (now > most && !most_at_once_.compare_exchange_weak(most, now)) {
  }
  try {
    script(request);
  } catch (const Disconnected&) {
    // Proxies may break off when they like; tests look at what came before.
  } catch (const TimedOut&) {
  } catch (const std::exception& problem) {
    const std::lock_guard lock(mutex_);
    problems_.emplace_back(problem.what());
  }
  --active_;
}

std::vector<H2Message> H2Origin::requests() const {
  const std::lock_guard lock(mutex_);
  std::vector<H2Message> out;
  for (const H2Request& request : requests_) out.push_back(request->request());
  return out;
}

H2Message H2Origin::request(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  if (index >= requests_.size())
    throw std::runtime_error("the origin got only " + std::to_string(requests_.size()) +
                             " requests");
  return requests_[index]->request();
}

std::size_t H2Origin::request_count() const {
  const std::lock_guard lock(mutex_);
  return requests_.size();
}

bool H2Origin::wait_requests(std::size_t count, Milliseconds patience) const {
  return wait_until([&] { return request_count() >= count; }, patience);
}

std::vector<std::shared_ptr<H2Link>> H2Origin::links() const {
  const std::lock_guard lock(mutex_);
  return links_;
}

}  // namespace revproxyd::testing
