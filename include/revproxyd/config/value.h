#pragma once
// A tree to print: the effective configuration as YAML, the schema as JSON.

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace revproxyd::config {

/// `absent` is left out of the map or list that it stands in. A `text` may be a secret, a `word` is
/// one of ours.
enum class Form : std::uint8_t { absent, text, word, plain, list, map };

struct Value {
  using Members = std::vector<std::pair<std::string, Value>>;

  Form form = Form::absent;
  std::string text;  // of text and word (quoted where needed) and of plain (printed as it is:
                     // numbers, durations)
  std::vector<Value> items;
  Members members;
  bool names = false;  // the keys of the map are names that were given to things, not ours

  static Value none() { return {}; }
  static Value of_text(std::string_view text);
  static Value of_word(std::string_view word);
  static Value of_plain(std::string_view text);
  static Value of_number(std::uint64_t number);
  static Value of_bool(bool value);
  static Value list(std::vector<Value> items = {});
  static Value map(Members members = {});
  static Value map_of_names(Members members = {});

  bool absent() const noexcept { return form == Form::absent; }
  /// Appends to a map; an absent value is dropped. Returns *this.
  Value& set(std::string key, Value value);
};

/// YAML that reads back as the same values. Every text and every name that is one of `secrets`
/// prints as `<redacted>`.
std::string to_yaml(const Value& value, const std::set<std::string>& secrets = {});

/// JSON, indented by two.
std::string to_json(const Value& value);

/// Seconds, minutes and so on, the largest unit that divides `milliseconds`: "90s", "1h", "0s".
std::string duration_text(std::uint64_t milliseconds);
/// The same for sizes: "8KiB", "240B", "0".
std::string size_text(std::uint64_t bytes);

}  // namespace revproxyd::config
