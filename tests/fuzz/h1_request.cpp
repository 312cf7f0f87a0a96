// A request head from bytes: cuts change nothing, and what is accepted is read the same after it
// was written again.

#include "http/h1/parser.h"
#include "http/h1/serializer.h"
#include "tests/fuzz/codec_check.h"

namespace revproxyd::fuzz {
namespace {

// Small, so that short inputs reach them.
constexpr http::h1::HeadLimits kLimits{.start_line = 256, .header_bytes = 1024, .header_count = 8};
// Room for the fields that the serializer adds.
constexpr http::h1::HeadLimits kWider{.start_line = 512, .header_bytes = 4096, .header_count = 16};

void check_head(const http::RequestHead& head) {
  check(!head.method_text.empty() && !head.raw_target.empty());
  check(head.version == http::Version::http10 || head.fields.count(http::FieldName::host) == 1);
  if (head.target.form == http::TargetForm::authority) {
    check(head.method == http::Method::connect && head.port != 0);
  } else {
    check(head.path.starts_with('/') || head.path == "*");
  }
  for (char c : head.host) check(c > 0x20 && c < 0x7f && (c < 'A' || c > 'Z'));
  for (const http::Field& field : head.fields) {
    for (char c : field.value) check(c != '\r' && c != '\n' && c != '\0');
  }
}

void check_rewritten(const http::RequestHead& head) {
  Buffer out;
  const std::string_view host =
      head.authority.empty() ? std::string_view("none.example") : head.authority;
  http::h1::write_request(head, head.raw_target, host, {}, out);
  check(scan_any_way(http::h1::Kind::request, kWider, out.held()).length == out.size());
  Arena arena;
  const auto again = http::h1::parse_request(out.held(), arena, kWider);
  check(again.has_value());
  check(again->method_text == head.method_text && again->raw_target == head.raw_target);
  check(again->path == head.path && again->encoded_slash == head.encoded_slash);
  check(again->target.query == head.target.query &&
        again->target.has_query == head.target.has_query);
  if (!head.authority.empty()) check(again->host == head.host && again->port == head.port);
  check(end_to_end(again->fields) == end_to_end(head.fields));
  const bool added = head.length.framing == http::Framing::none &&
                     again->length == http::BodyLength{http::Framing::length, 0};
  check(again->length == head.length || added);
}

void run(std::string_view data) {
  const Verdict verdict = scan_any_way(http::h1::Kind::request, kLimits, data);
  // The parser stands on its own too: it is given blocks that no scanner has seen.
  const bool found = verdict.length != 0;
  const auto block =
      exact(found ? data.substr(verdict.skipped, verdict.length - verdict.skipped) : data);
  Arena arena;
  const auto head = http::h1::parse_request(view(block), arena, kLimits);
  if (!head) return check(head.error().side() == Side::downstream && !head.error().text().empty());
  check(found);
  check_head(*head);
  check_rewritten(*head);
}

}  // namespace
}  // namespace revproxyd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  revproxyd::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
