// Plays a message into the codec as a connection would, and writes down what comes out.

#include <algorithm>
#include <optional>

#include "http/h1/chunked.h"
#include "tests/wire/wire_case.h"

namespace revproxyd::wire {

namespace {

const char* text_of(bool value) { return value ? "yes" : "no"; }

std::string text_of(const http::BodyLength& length) {
  switch (length.framing) {
    case http::Framing::none: return "none";
    case http::Framing::length: return "length " + std::to_string(length.bytes);
    case http::Framing::chunked: return "chunked";
    case http::Framing::until_close: return "until-close";
    case http::Framing::tunnel: return "tunnel";
  }
  return "?";
}

class Player {
 public:
  explicit Player(const Case& wire_case)
      : case_(wire_case),
        kind_(wire_case.input == Input::response ? http::h1::Kind::response
                                                 : http::h1::Kind::request),
        scanner_(kind_, wire_case.limits),
        decoder_(kind_, wire_case.limits) {
    if (wire_case.input != Input::chunked) return;
    length_ = http::BodyLength{http::Framing::chunked, 0};
  }

  void take(std::string_view piece) {
    if (refused_) return;
    pending_ += piece;
    if (!length_) take_head();
    if (length_ && !refused_) take_body();
  }

  Outcome outcome() {
    if (refused_) return {{"refused", *refused_}};
    if (!length_ || !body_ended()) return {{"incomplete", ""}};
    Outcome out{{"accepted", ""}};
    out.insert(out.end(), facts_.begin(), facts_.end());
    if (length_->framing != http::Framing::none) out.emplace_back("body", escape(body_));
    if (length_->framing == http::Framing::chunked) note_trailers(out);
    if (refused_) return {{"refused", *refused_}};
    if (!pending_.empty()) out.emplace_back("rest", escape(pending_));
    return out;
  }

 private:
  void refuse(const Error& error) {
    refused_ = std::string(name(error.code())) + ": " + std::string(error.text());
  }
  void fact(std::string key, std::string_view value) { facts_.emplace_back(std::move(key), value); }

  void take_head() {
    const auto size = scanner_.scan(pending_);
    if (!size) return refuse(size.error());
    if (*size == 0) return;
    const auto block = arena_.copy(
        std::string_view(pending_).substr(scanner_.skipped(), *size - scanner_.skipped()));
    pending_.erase(0, *size);
    if (kind_ == http::h1::Kind::request) {
      auto head = http::h1::parse_request(block, arena_, case_.limits);
      if (!head) return refuse(head.error());
      note_request(*head);
    } else {
      auto head = http::h1::parse_response(block, case_.method, arena_, case_.limits);
      if (!head) return refuse(head.error());
      note_response(*head);
    }
  }

  void note_request(const http::RequestHead& head) {
    fact("method", head.method_text);
    fact("target", head.raw_target);
    fact("version", head.version == http::Version::http10 ? "1.0" : "1.1");
    fact("authority", head.authority);
    fact("host", head.host);
    fact("port", std::to_string(head.port));
    fact("path", head.path);
    fact("raw-path", head.target.path);
    fact("query", head.target.has_query ? "?" + std::string(head.target.query) : "");
    fact("encoded-slash", text_of(head.encoded_slash));
    fact("keep-alive", text_of(head.keep_alive));
    fact("expect-continue", text_of(head.expect_continue));
    fact("upgrade", head.upgrade);
    note_message(head.fields, head.length);
  }

  void note_response(const http::ResponseHead& head) {
    fact("status", std::to_string(head.status));
    fact("version", head.version == http::Version::http10 ? "1.0" : "1.1");
    fact("reason", head.reason);
    fact("keep-alive", text_of(head.keep_alive));
    note_message(head.fields, head.length);
  }

  void note_message(const http::Fields& fields, const http::BodyLength& length) {
    for (const auto& field : fields)
      fact("field", std::string(field.name) + ": " + escape(field.value));
    fact("framing", text_of(length));
    length_ = length;
    left_ = length.bytes;
  }

  void note_trailers(Outcome& out) {
    http::Fields trailers(arena_);
    if (auto taken = decoder_.take_trailers(trailers); !taken) return refuse(taken.error());
    for (const auto& field : trailers)
      out.emplace_back("trailer", std::string(field.name) + ": " + escape(field.value));
  }

  void take_body() {
    std::size_t taken = 0;
    switch (length_->framing) {
      case http::Framing::none: return;
      case http::Framing::length:
        taken = static_cast<std::size_t>(std::min<std::uint64_t>(left_, pending_.size()));
        left_ -= taken;
        break;
      case http::Framing::chunked: return take_chunks();
      case http::Framing::until_close:
      case http::Framing::tunnel: taken = pending_.size(); break;
    }
    body_ += pending_.substr(0, taken);
    pending_.erase(0, taken);
  }

  void take_chunks() {
    while (!decoder_.done() && !pending_.empty()) {
      const auto step = decoder_.step(pending_);
      if (!step) return refuse(step.error());
      body_ += step->data;
      pending_.erase(0, step->consumed);
    }
  }

  bool body_ended() const {
    if (length_->framing == http::Framing::length) return left_ == 0;
    return length_->framing != http::Framing::chunked || decoder_.done();
  }

  const Case& case_;
  http::h1::Kind kind_;
  Arena arena_;
  http::h1::HeadScanner scanner_;
  http::h1::ChunkedDecoder decoder_;
  std::string pending_;
  std::string body_;
  std::optional<http::BodyLength> length_;
  std::uint64_t left_ = 0;
  std::optional<std::string> refused_;
  Outcome facts_;
};

}  // namespace

Outcome feed(const Case& wire_case, const std::vector<std::string_view>& pieces) {
  Player player(wire_case);
  for (std::string_view piece : pieces) player.take(piece);
  return player.outcome();
}

}  // namespace revproxyd::wire
