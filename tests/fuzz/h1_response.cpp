// A response head from bytes, as the answer to GET and to HEAD: cuts change nothing, and what is
// accepted is read the same after it was written again.

#include "http/h1/parser.h"
#include "http/h1/serializer.h"
#include "tests/fuzz/codec_check.h"

namespace revproxyd::fuzz {
namespace {

constexpr http::h1::HeadLimits kLimits{.start_line = 256, .header_bytes = 1024, .header_count = 8};
constexpr http::h1::HeadLimits kWider{.start_line = 512, .header_bytes = 4096, .header_count = 16};

void check_rewritten(const http::ResponseHead& head, http::Method method) {
  Buffer out;
  const http::h1::ResponseOptions options{
      .keep_alive = head.keep_alive,
      .head_request = method == http::Method::head,
  };
  const auto framing = http::h1::write_response(head, options, out);
  check(framing == head.length.framing);
  check(scan_any_way(http::h1::Kind::response, kWider, out.held()).length == out.size());
  Arena arena;
  const auto again = http::h1::parse_response(out.held(), method, arena, kWider);
  check(again.has_value());
  check(again->status == head.status && again->length == head.length);
  check(head.reason.empty() || again->reason == head.reason);
  check(head.status < 200 || again->keep_alive == head.keep_alive);
  check(end_to_end(again->fields).size() + again->fields.count(http::FieldName::upgrade) ==
        end_to_end(head.fields).size() + head.fields.count(http::FieldName::upgrade));
  check(end_to_end(again->fields) == end_to_end(head.fields));
}

void run(std::string_view data) {
  const Verdict verdict = scan_any_way(http::h1::Kind::response, kLimits, data);
  const bool found = verdict.length != 0;
  const auto block = exact(found ? data.substr(0, verdict.length) : data);
  for (http::Method method : {http::Method::get, http::Method::head}) {
    Arena arena;
    const auto head = http::h1::parse_response(view(block), method, arena, kLimits);
    if (!head) {
      check(head.error().side() == Side::upstream && !head.error().text().empty());
      continue;
    }
    check(found && head->status >= 100 && head->status <= 599);
    check_rewritten(*head, method);
  }
}

}  // namespace
}  // namespace revproxyd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  revproxyd::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
