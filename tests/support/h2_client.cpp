#include "tests/support/h2_client.h"

#include <algorithm>

namespace revproxyd::testing {

namespace {

RawClient connect_by_alpn(std::uint16_t port, ClientTls tls) {
  if (tls.alpn.empty()) tls.alpn = {"h2"};
  RawClient client(port, tls);
  if (client.stream().alpn() != "h2") throw TlsError("h2 is not chosen");
  return client;
}

std::string goodbye(const H2State& state) {
  if (!state.goaway()) return "the connection ended";
  return "the connection ended, GOAWAY " + std::to_string(state.goaway()->code) + " " +
         state.goaway()->debug;
}

}  // namespace

H2Client::H2Client(std::uint16_t port, const H2ClientOptions& options)
    : H2Client(RawClient(port), options) {}

H2Client::H2Client(std::uint16_t port, ClientTls tls, const H2ClientOptions& options)
    : H2Client(connect_by_alpn(port, std::move(tls)), options) {}

H2Client::H2Client(RawClient connected, const H2ClientOptions& options)
    : raw_(std::move(connected)),
      scheme_(raw_.stream().tls_version().empty() ? "http" : "https"),
      state_(std::make_unique<H2State>(options.state)) {
  if (!options.open) return;
  send(h2::kPreface);
  settings(options.settings);
}

H2Client& H2Client::send(std::string_view bytes) {
  stream().set_patience(kPatience);
  raw_.send(bytes);
  return *this;
}

H2Client& H2Client::settings(const h2::Settings& list) {
  state_->note_sent(list);
  return send(h2::settings(list));
}

h2::Fields H2Client::fields(const std::string& method, const std::string& path,
                            const h2::Fields& more) const {
  h2::Fields out{
      {":method", method}, {":scheme", scheme_}, {":authority", "test"}, {":path", path}};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::uint32_t H2Client::next_stream() noexcept { return std::exchange(next_, next_ + 2); }

std::uint32_t H2Client::open(const h2::Fields& fields, bool end) {
  const std::uint32_t stream = next_stream();
  send(h2::headers(stream, fields, end ? h2::kEndBoth : h2::kEndHeaders));
  return stream;
}

void H2Client::send_body(std::uint32_t stream, std::string_view body, bool end) {
  if (body.empty() && end) send(h2::data(stream, {}, true));
  while (!body.empty()) {
    const bool room = read_until([&](const H2State& state) {
      return state.window(stream) > 0 || state.message(stream).reset;
    });
    if (!room) throw Disconnected("no window: " + goodbye(*state_));
    if (state_->message(stream).reset) return;
    const std::size_t size =
        std::min({body.size(), state_->window(stream), state_->max_frame_size()});
    state_->spend(stream, size);
    send(h2::data(stream, body.substr(0, size), end && size == body.size()));
    body.remove_prefix(size);
  }
}

H2Message H2Client::get(const std::string& path, const h2::Fields& more) {
  return response(open(fields("GET", path, more)));
}

H2Message H2Client::request(const h2::Fields& fields, std::string_view body) {
  const std::uint32_t stream = open(fields, body.empty());
  if (!body.empty()) send_body(stream, body);
  return response(stream);
}

std::optional<h2::Frame> H2Client::read_frame(Milliseconds patience) {
  const Stopwatch watch;
  for (;;) {
    if (auto frame = h2::cut_frame(buffer_)) {
      const std::string answer = state_->take(*frame);
      try {
        if (!answer.empty()) send(answer);
      } catch (const Disconnected&) {
        // What came before the end is still of interest.
      }
      return frame;
    }
    const Milliseconds left = patience - watch.elapsed();
    if (left <= Milliseconds(0)) throw TimedOut("no frame came");
    stream().set_patience(left);
    const std::string more = stream().receive();
    if (more.empty()) return std::nullopt;
    buffer_ += more;
  }
}

bool H2Client::read_until(const std::function<bool(const H2State&)>& holds, Milliseconds patience) {
  const Stopwatch watch;
  try {
    while (!holds(*state_)) {
      if (!read_frame(patience - watch.elapsed())) return false;
    }
  } catch (const TimedOut&) {
    return false;
  } catch (const Disconnected&) {
    return false;
  }
  return true;
}

H2Message H2Client::await(std::uint32_t stream,
                          const std::function<bool(const H2Message&)>& there) {
  const Stopwatch watch;
  for (;;) {
    const H2Message& message = state_->message(stream);
    if (there(message) || message.reset) return message;
    if (!read_frame(kPatience - watch.elapsed())) throw Disconnected(goodbye(*state_));
  }
}

H2Message H2Client::response(std::uint32_t stream) {
  return await(stream, [](const H2Message& message) { return message.ended; });
}

H2Message H2Client::response_head(std::uint32_t stream) {
  return await(stream, [](const H2Message& message) { return message.has_head(); });
}

H2Goaway H2Client::goaway() {
  const Stopwatch watch;
  while (!state_->goaway()) {
    if (!read_frame(kPatience - watch.elapsed())) throw Disconnected(goodbye(*state_));
  }
  return *state_->goaway();
}

std::optional<std::uint32_t> H2Client::reset_code(std::uint32_t stream) {
  read_until([&](const H2State& state) {
    const H2Message& message = state.message(stream);
    return message.ended || message.reset;
  });
  return state_->message(stream).reset;
}

bool H2Client::round_trip() {
  std::string mark = std::to_string(++pings_);
  mark.resize(8, '.');
  send(h2::ping(mark));
  const Stopwatch watch;
  for (;;) {
    const auto frame = read_frame(kPatience - watch.elapsed());
    if (!frame) return false;
    if (frame->type == h2::kPing && frame->has(h2::kAck) && frame->payload == mark) return true;
  }
}

bool H2Client::closes(Milliseconds patience) {
  const Stopwatch watch;
  try {
    while (read_frame(patience - watch.elapsed())) {
    }
  } catch (const Disconnected&) {
    return true;
  } catch (const TimedOut&) {
    return false;
  }
  return true;
}

bool H2Client::stays_quiet(Milliseconds duration) {
  try {
    read_frame(duration);
    return false;
  } catch (const TimedOut&) {
    return true;
  } catch (const Disconnected&) {
    return false;
  }
}

}  // namespace revproxyd::testing
