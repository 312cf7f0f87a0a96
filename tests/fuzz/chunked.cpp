// A chunked body from bytes: cuts change nothing, and what was decoded is decoded the same after it
// was encoded again.

#include "http/h1/chunked.h"

#include <string>

#include "http/h1/serializer.h"
#include "tests/fuzz/codec_check.h"

namespace revproxyd::fuzz {
namespace {

constexpr http::h1::HeadLimits kLimits{.start_line = 64, .header_bytes = 128, .header_count = 4};
// The serializer writes a space behind each colon that the input may not have had.
constexpr http::h1::HeadLimits kWider{.start_line = 64, .header_bytes = 256, .header_count = 4};

struct Decoded {
  std::string body;
  std::size_t consumed = 0;
  bool done = false;
  Code code = Code::none;
  std::string_view text;
  FieldList trailers;
};

Decoded decode(std::string_view data, std::size_t step_size, const http::h1::HeadLimits& limits,
               Arena& arena) {
  http::h1::ChunkedDecoder decoder(http::h1::Kind::request, limits);
  Decoded out;
  while (out.consumed < data.size() && !decoder.done()) {
    // Each piece is a memory of its own.
    const auto piece = exact(data.substr(out.consumed, step_size));
    std::size_t used = 0;
    while (used < piece.size() && !decoder.done()) {
      const auto step = decoder.step(view(piece).substr(used));
      if (!step) {
        out.code = step.error().code();
        out.text = step.error().text();
        return out;
      }
      check(step->consumed != 0 && step->consumed <= piece.size() - used);
      check(step->data.size() <= step->consumed);
      out.body += step->data;
      used += step->consumed;
    }
    out.consumed += used;
  }
  out.done = decoder.done();
  if (!out.done) return out;
  http::Fields trailers(arena);
  const auto taken = decoder.take_trailers(trailers);
  if (!taken) {
    out.code = taken.error().code();
    out.text = taken.error().text();
    return out;
  }
  for (const http::Field& field : trailers) out.trailers.emplace_back(field.name, field.value);
  return out;
}

void check_encoded_again(const Decoded& decoded) {
  Arena arena;
  Buffer out;
  for (std::size_t at = 0; at < decoded.body.size(); at += 7) {
    const auto piece = std::string_view(decoded.body).substr(at, 7);
    http::h1::write_chunk_size(piece.size(), out);
    out.append(piece);
    out.append("\r\n");
  }
  http::Fields trailers(arena);
  for (const auto& [name, value] : decoded.trailers) trailers.add(name, value);
  http::h1::write_last_chunk(&trailers, out);
  const Decoded again = decode(out.held(), out.size(), kWider, arena);
  check(again.done && again.code == Code::none && again.consumed == out.size());
  check(again.body == decoded.body && again.trailers == decoded.trailers);
}

void run(std::string_view data) {
  Arena arena;
  const Decoded whole = decode(data, data.size() + 1, kLimits, arena);
  for (std::size_t step : kCuts) {
    const Decoded cut = decode(data, step, kLimits, arena);
    check(cut.code == whole.code && cut.text == whole.text && cut.done == whole.done);
    check(cut.body == whole.body && cut.trailers == whole.trailers);
    check(whole.code != Code::none || cut.consumed == whole.consumed);
  }
  if (whole.done && whole.code == Code::none) check_encoded_again(whole);
}

}  // namespace
}  // namespace revproxyd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  revproxyd::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
