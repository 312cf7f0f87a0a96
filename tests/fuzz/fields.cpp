// Field sections: interned names are right, written lines are read the same, and hop-by-hop fields
// go.

#include "revproxyd/http/fields.h"

#include <string>

#include "http/date.h"
#include "http/h1/parser.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/http/hop_by_hop.h"
#include "tests/fuzz/codec_check.h"

namespace revproxyd::fuzz {
namespace {

constexpr http::h1::HeadLimits kLimits{.start_line = 64, .header_bytes = 2048, .header_count = 24};

void check_names(const http::Fields& fields) {
  for (const http::Field& field : fields) {
    check(ascii::is_token(field.name));
    check(field.known == http::lookup(field.name));
    if (field.known != http::FieldName::unknown)
      check(ascii::iequals(field.name, http::name(field.known)));
    const http::Field* first = fields.find(field.name);
    check(first != nullptr && ascii::iequals(first->name, field.name));
    check(ascii::trim(field.value) == field.value);
  }
}

void check_written_again(const http::Fields& fields, http::h1::Kind kind) {
  std::string text;
  for (const http::Field& field : fields)
    text.append(field.name).append(":").append(field.value).append("\r\n");
  text += "\r\n";
  Arena arena;
  http::Fields again(arena);
  check(http::h1::parse_fields(text, kind, again, kLimits).has_value());
  check(again.size() == fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    check(again.begin()[i].name == fields.begin()[i].name &&
          again.begin()[i].value == fields.begin()[i].value);
  }
}

void check_hygiene(http::Fields fields) {
  http::remove_hop_by_hop(fields);
  for (http::FieldName name :
       {http::FieldName::connection, http::FieldName::keep_alive, http::FieldName::te,
        http::FieldName::transfer_encoding, http::FieldName::upgrade}) {
    check(!fields.has(name) && fields.find(http::name(name)) == nullptr);
  }
}

void run(std::string_view data) {
  const auto block = exact(data);
  for (http::h1::Kind kind : {http::h1::Kind::request, http::h1::Kind::response}) {
    Arena arena;
    http::Fields fields(arena);
    if (!http::h1::parse_fields(view(block), kind, fields, kLimits)) continue;
    check_names(fields);
    check_written_again(fields, kind);
    for (const http::Field& field : fields) {
      if (const auto when = http::parse_date(field.value); when) {
        char text[29];
        http::format_date(*when, text);
        check(http::parse_date({text, sizeof text}) == when);
      }
    }
    check_hygiene(fields.clone_into(arena));
  }
}

}  // namespace
}  // namespace revproxyd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  revproxyd::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
