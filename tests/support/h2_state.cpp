#include "tests/support/h2_state.h"

#include <algorithm>
#include <stdexcept>

#include <nghttp2/nghttp2.h>

namespace revproxyd::testing {

namespace {

std::string joined(const h2::Fields& fields, std::string_view name) {
  std::string out;
  bool first = true;
  for (const auto& [key, value] : fields) {
    if (key != name) continue;
    if (!first) out += ", ";
    out += value;
    first = false;
  }
  return out;
}

bool is_interim(const h2::Fields& fields) {
  const std::string status = joined(fields, ":status");
  return status.size() == 3 && status.front() == '1';
}

// The payload without its padding.
std::string_view unpadded(const h2::Frame& frame) {
  std::string_view out = frame.payload;
  if (!frame.has(h2::kPadded)) return out;
  if (out.empty()) throw std::runtime_error("a padded frame without its length");
  const auto padding = static_cast<unsigned char>(out.front());
  out.remove_prefix(1);
  if (padding > out.size()) throw std::runtime_error("more padding than payload");
  out.remove_suffix(padding);
  return out;
}

}  // namespace

std::string H2Message::field(std::string_view name) const { return joined(fields, name); }

std::string H2Message::trailer(std::string_view name) const { return joined(trailers, name); }

std::size_t H2Message::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(fields, [&](const auto& entry) { return entry.first == name; }));
}

int H2Message::status() const { return has(":status") ? std::stoi(field(":status")) : 0; }

H2State::H2State(const Options& options) : options_(options) {
  if (nghttp2_hd_inflate_new(&inflater_) != 0) throw std::bad_alloc();
}

H2State::~H2State() { nghttp2_hd_inflate_del(inflater_); }

std::string H2State::take(const h2::Frame& frame) {
  if (block_stream_ != 0 && (frame.type != h2::kContinuation || frame.stream != block_stream_)) {
    throw std::runtime_error("a block of fields is interrupted");
  }
  ++frames_[frame.type];
  switch (frame.type) {
    case h2::kData: return take_data(frame);
    case h2::kHeaders: {
      std::string_view fragment = unpadded(frame);
      if (frame.has(h2::kHasPriority))
        fragment.remove_prefix(std::min<std::size_t>(5, fragment.size()));
      block_stream_ = frame.stream;
      block_ends_ = frame.has(h2::kEndStream);
      take_block(frame, fragment);
      return {};
    }
    case h2::kContinuation:
      if (block_stream_ == 0) throw std::runtime_error("CONTINUATION of nothing");
      take_block(frame, frame.payload);
      return {};
    case h2::kRstStream: messages_[frame.stream].reset = h2::number_at(frame.payload, 0); return {};
    case h2::kSettings: return take_settings(frame);
    case h2::kPushPromise: throw std::runtime_error("PUSH_PROMISE");
    case h2::kPing:
      return options_.answer && !frame.has(h2::kAck) ? h2::ping(frame.payload, true) : "";
    case h2::kGoaway:
      goaway_ = H2Goaway{h2::number_at(frame.payload, 0), h2::number_at(frame.payload, 4),
                         frame.payload.substr(8)};
      return {};
    case h2::kWindowUpdate: take_window(frame); return {};
    default: return {};
  }
}

std::string H2State::take_data(const h2::Frame& frame) {
  H2Message& message = messages_[frame.stream];
  if (!message.has_head() || message.ended)
    throw std::runtime_error("DATA where none may come, stream " + std::to_string(frame.stream));
  message.body += unpadded(frame);
  message.ended = frame.has(h2::kEndStream);
  if (!options_.give_window || frame.payload.empty()) return {};
  const auto size = static_cast<std::uint32_t>(frame.payload.size());
  std::string out = h2::window_update(0, size);
  if (!message.ended) out += h2::window_update(frame.stream, size);
  return out;
}

void H2State::take_block(const h2::Frame& frame, std::string_view fragment) {
  block_ += fragment;
  if (frame.has(h2::kEndHeaders)) finish_block();
}

void H2State::finish_block() {
  H2Message& message = messages_[std::exchange(block_stream_, 0)];
  h2::Fields fields = decode(std::exchange(block_, {}));
  if (message.ended) throw std::runtime_error("HEADERS behind the end of the stream");
  message.ended = block_ends_;
  if (message.has_head()) {
    if (!message.ended) throw std::runtime_error("trailers that do not end the stream");
    message.trailers = std::move(fields);
  } else if (is_interim(fields)) {
    if (message.ended) throw std::runtime_error("an interim response that ends the stream");
    message.interim.push_back(std::move(fields));
  } else {
    message.fields = std::move(fields);
  }
}

h2::Fields H2State::decode(std::string_view block) {
  h2::Fields out;
  const auto* next = reinterpret_cast<const std::uint8_t*>(block.data());
  std::size_t left = block.size();
  for (;;) {
    nghttp2_nv field{};
    int flags = 0;
    const auto used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, next, left, 1);
    if (used < 0) throw std::runtime_error("a block of fields that cannot be decoded");
    next += used;
    left -= static_cast<std::size_t>(used);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      out.emplace_back(std::string(reinterpret_cast<const char*>(field.name), field.namelen),
                       std::string(reinterpret_cast<const char*>(field.value), field.valuelen));
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  return out;
}

std::string H2State::take_settings(const h2::Frame& frame) {
  if (frame.has(h2::kAck)) {
    if (unacknowledged_.empty()) return {};  // of a frame that was sent as raw bytes
    for (const auto& [id, value] : unacknowledged_.front()) {
      if (id == h2::kHeaderTableSize) nghttp2_hd_inflate_change_table_size(inflater_, value);
    }
    unacknowledged_.erase(unacknowledged_.begin());
    return {};
  }
  settings_came_ = true;
  const std::int64_t before = first_window();
  for (std::size_t at = 0; at + 6 <= frame.payload.size(); at += 6) {
    // The number has two bytes, its value the four behind.
    const auto id = static_cast<std::uint16_t>(h2::number_at(frame.payload, at) >> 16);
    settings_[id] = h2::number_at(frame.payload, at + 2);
  }
  const std::int64_t after = first_window();
  for (auto& [stream, window] : windows_) window += after - before;
  return options_.answer ? h2::settings_ack() : "";
}

void H2State::note_sent(const h2::Settings& settings) { unacknowledged_.push_back(settings); }

void H2State::take_window(const h2::Frame& frame) {
  const std::uint32_t increment = h2::number_at(frame.payload, 0);
  if (frame.stream == 0) {
    connection_window_ += increment;
    return;
  }
  windows_.try_emplace(frame.stream, first_window()).first->second += increment;
}

const H2Message& H2State::message(std::uint32_t stream) const {
  static const H2Message kNothing;
  const auto found = messages_.find(stream);
  return found != messages_.end() ? found->second : kNothing;
}

std::vector<std::uint32_t> H2State::streams() const {
  std::vector<std::uint32_t> out;
  for (const auto& [stream, message] : messages_) out.push_back(stream);
  return out;
}

std::size_t H2State::window(std::uint32_t stream) const {
  const auto found = windows_.find(stream);
  const std::int64_t own = found != windows_.end() ? found->second : first_window();
  return static_cast<std::size_t>(std::max<std::int64_t>(0, std::min(own, connection_window_)));
}

void H2State::spend(std::uint32_t stream, std::size_t size) {
  windows_.try_emplace(stream, first_window()).first->second -= static_cast<std::int64_t>(size);
  connection_window_ -= static_cast<std::int64_t>(size);
}

std::int64_t H2State::first_window() const {
  return setting(h2::kInitialWindowSize).value_or(h2::kDefaultWindow);
}

std::size_t H2State::frames(std::uint8_t type) const {
  const auto found = frames_.find(type);
  return found != frames_.end() ? found->second : 0;
}

std::size_t H2State::max_frame_size() const {
  return setting(h2::kMaxFrameSize).value_or(h2::kDefaultFrameSize);
}

std::optional<std::uint32_t> H2State::setting(std::uint16_t id) const {
  const auto found = settings_.find(id);
  if (found == settings_.end()) return std::nullopt;
  return found->second;
}

}  // namespace revproxyd::testing
