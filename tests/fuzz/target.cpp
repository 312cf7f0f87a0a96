// Request targets, paths and authorities: views stay inside their text, and what is normal stays as
// it is.

#include "revproxyd/http/target.h"

#include "tests/fuzz/codec_check.h"

namespace revproxyd::fuzz {
namespace {

bool inside(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void check_target(std::string_view raw, bool connect, bool options) {
  const auto target = http::parse_target(raw, connect, options);
  if (!target) return check(target.error().code() == Code::malformed_request);
  check((target->form == http::TargetForm::authority) == connect);
  check(inside(target->authority, raw) && inside(target->query, raw));
  check(target->path.starts_with('/') || target->path == "*" || connect);
  if (target->form == http::TargetForm::origin && target->has_query) {
    check(target->path.size() + 1 + target->query.size() == raw.size());
  }
}

void check_path(std::string_view raw) {
  Arena arena;
  const auto path = http::normalise_path(raw, arena);
  if (!path) return;
  const std::string_view text = path->text;
  check(text.starts_with('/') && text.size() <= raw.size());
  check(text.find("//") == std::string_view::npos && text.find("/../") == std::string_view::npos);
  check(!text.ends_with("/..") && !text.ends_with("/.") &&
        text.find("/./") == std::string_view::npos);
  const auto again = http::normalise_path(text, arena);
  check(again.has_value() && again->text.data() == text.data());
  // Not the other way round: a segment with an escaped slash may have been taken back by "..", and
  // is forwarded all the same.
  check(!again->encoded_slash || path->encoded_slash);
}

void check_authority(std::string_view text) {
  Arena arena;
  const auto authority = http::parse_authority(text, arena);
  if (!authority) return;
  // The normal form of an IPv6 address may have its last half as an IPv4 one.
  const bool literal = authority->host.starts_with('[');
  check(!authority->host.empty() && (literal || authority->host.size() <= text.size()));
  const auto again = http::parse_authority(authority->host, arena);
  check(again.has_value() && again->host == authority->host && again->port == 0);
}

void run(std::string_view data) {
  const auto bytes = exact(data);
  for (bool connect : {false, true}) {
    for (bool options : {false, true}) check_target(view(bytes), connect, options);
  }
  check_path(view(bytes));
  check_authority(view(bytes));
}

}  // namespace
}  // namespace revproxyd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  revproxyd::fuzz::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
