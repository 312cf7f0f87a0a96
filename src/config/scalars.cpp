#include "revproxyd/config/scalars.h"

#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "revproxyd/base/ascii.h"

namespace revproxyd::config {

namespace {

std::string quoted_words(const std::vector<std::string_view>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

/// A number with what follows it.
struct Quantity {
  std::uint64_t number = 0;
  std::string_view unit;
};

std::optional<Quantity> quantity(std::string_view text) {
  Quantity out;
  const char* end = text.data() + text.size();
  const auto [rest, failure] = std::from_chars(text.data(), end, out.number);
  if (failure != std::errc() || rest == text.data()) return std::nullopt;
  out.unit = std::string_view(rest, static_cast<std::size_t>(end - rest));
  return out;
}

struct Unit {
  std::string_view name;
  std::uint64_t size;
};

/// How the three kinds of quantity differ.
struct QuantityRules {
  std::string_view what;     // "a duration"
  std::string_view example;  // "s": the unit to show for a bare number
  std::string_view units;    // for messages
  std::string_view suffix;   // "/s" of a rate
  std::uint64_t most = 0;
  std::string_view most_text;
};

constexpr std::array<Unit, 5> kTimes{
    {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}}};
constexpr std::array<Unit, 5> kSizes{
    {{"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}}};
constexpr QuantityRules kDuration{"a duration",      "s",   "ms, s, m, h or d", "",
                                  365ULL * 86400000, "365d"};
constexpr QuantityRules kSize{"a size", "B", "B, KiB, MiB, GiB or TiB", "", 1ULL << 50, "1024TiB"};
constexpr QuantityRules kRate{"a rate", "B/s",      "B/s, KiB/s, MiB/s, GiB/s or TiB/s",
                              "/s",     1ULL << 50, "1024TiB/s"};

/// "KB" and "K" look like a size but say two different things to different people.
std::string unit_hint(const Quantity& q, const QuantityRules& rules, std::string_view unit) {
  if (&rules == &kDuration) return "units are " + std::string(rules.units);
  const char first = unit.empty() ? '\0' : ascii::to_lower(unit.front());
  const std::string_view letters = "kmgt";
  const std::size_t at = letters.find(first);
  if (first != '\0' && at != std::string_view::npos && unit.size() <= 3)
    return "sizes count in 1024s: write " + std::to_string(q.number) +
           std::string(kSizes[at + 1].name) + std::string(rules.suffix);
  return "units are " + std::string(rules.units);
}

bool read_quantity(Reader& reader, const Node& node, const QuantityRules& rules,
                   const std::array<Unit, 5>& units, std::pair<Zero, std::uint64_t*> result) {
  const auto [zero, out] = result;
  const std::string what(rules.what);
  const std::string* text = reader.scalar(node, what);
  if (text == nullptr) return false;
  const std::optional<Quantity> q = quantity(*text);
  if (!q)
    return reader.error(
        node, Reader::shown(node) + " is not " + what + " such as 5" + std::string(rules.example));
  std::string_view unit = q->unit;
  if (q->number == 0 && unit.empty()) {
    if (zero == Zero::refused)
      return reader.error(node, "0 is not allowed for " + reader.context());
    *out = 0;
    return true;
  }
  const std::string shown =
      node.secret ? "" : "write " + std::to_string(q->number) + std::string(rules.example);
  if (unit.empty()) return reader.error(node, what + " needs a unit", shown);
  const bool whole = unit.ends_with(rules.suffix);
  if (whole) unit.remove_suffix(rules.suffix.size());
  const auto found =
      std::find_if(units.begin(), units.end(), [&](const Unit& one) { return one.name == unit; });
  if (found == units.end() || !whole)
    return reader.error(node, Reader::shown(node) + " is not " + what,
                        node.secret ? std::string() : unit_hint(*q, rules, unit));
  if (q->number > rules.most / found->size)
    return reader.error(node, what + " of more than " + std::string(rules.most_text));
  if (q->number == 0 && zero == Zero::refused)
    return reader.error(node, "0 is not allowed for " + reader.context());
  *out = q->number * found->size;
  return true;
}

constexpr std::uint64_t kMostCount = 1'000'000'000;  // of a rate

/// The period of a rate, "10s" or a unit alone; nothing when it is no time or longer than a
/// duration may be.
std::optional<Duration> period_of(std::string_view text) {
  const bool bare = text == "s" || text == "m" || text == "h";
  const std::optional<Quantity> q = bare ? Quantity{1, text} : quantity(text);
  if (!q || q->number == 0) return std::nullopt;
  const auto unit = std::find_if(kTimes.begin(), kTimes.end(),
                                 [&](const Unit& one) { return one.name == q->unit; });
  if (unit == kTimes.end() || q->number > kDuration.most / unit->size) return std::nullopt;
  return Duration(q->number * unit->size);
}

std::string rate_text(const Rate& rate) {
  if (rate.count == 0) return "0";
  std::string period = duration_text(static_cast<std::uint64_t>(rate.period.count()));
  if (period == "1s" || period == "1m" || period == "1h") period.erase(0, 1);
  return std::to_string(rate.count) + "/" + period;
}

bool read_rate(Reader& reader, const Node& node, Zero zero, Rate& out) {
  const std::string* text = reader.scalar(node, "a rate");
  if (text == nullptr) return false;
  const std::optional<Quantity> q = quantity(*text);
  const bool zero_alone = q && q->number == 0 && q->unit.empty();
  if (!q || (!q->unit.empty() && q->unit.front() != '/'))
    return reader.error(node, Reader::shown(node) + " is not a rate such as 100/10s");
  const std::string count = std::to_string(q->number);
  if (q->unit.empty() && !zero_alone)
    return reader.error(node, "a rate needs a period", node.secret ? "" : "write " + count + "/s");
  const std::string_view written = zero_alone ? "s" : q->unit.substr(1);
  const std::optional<Duration> period = period_of(written);
  if (!period) {
    const bool digits =
        !written.empty() && std::all_of(written.begin(), written.end(), ascii::is_digit);
    const std::string fixed = "write " + count + "/" + std::string(written) + "s";
    return reader.error(
        node, Reader::shown(node) + " is not a rate",
        digits && !node.secret ? fixed : "a period is s, m, h or a duration up to 365d");
  }
  if (q->number > kMostCount)
    return reader.error(node, "a rate of more than " + std::to_string(kMostCount));
  if (q->number == 0 && zero == Zero::refused)
    return reader.error(node, "0 is not allowed for " + reader.context());
  out = q->number == 0 ? Rate() : Rate{static_cast<std::uint32_t>(q->number), *period};
  return true;
}

Value pattern_schema(std::string_view pattern, std::string_view title, Zero zero) {
  Value schema = string_schema(title);
  const std::string none = zero == Zero::allowed ? "|^0$" : "";
  schema.set("pattern", Value::of_text(std::string(pattern) + none + "|\\$\\{"));
  if (zero == Zero::refused) return schema;
  return any_of({schema, Value::map({{"const", Value::of_number(0)}})});
}

bool has_control(std::string_view text, bool lines) {
  for (char c : text) {
    if (lines && (c == '\n' || c == '\r' || c == '\t')) continue;
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return true;
  }
  return false;
}

/// A text type from the test that its texts pass.
Type<std::string> text_type(std::string_view what,
                            std::function<std::string(const std::string&)> problem) {
  Type<std::string> type;
  type.schema = scalar_schema(what);
  type.read = [what, problem](Reader& reader, const Node& node, std::string& out) {
    const std::string* text = reader.scalar(node, what);
    if (text == nullptr) return false;
    if (const std::string wrong = problem(*text); !wrong.empty())
      return reader.error(node,
                          Reader::shown(node) + " is not " + std::string(what) + ": " + wrong);
    out = *text;
    return true;
  };
  type.write = [](const std::string& value) {
    return value.empty() ? Value::none() : Value::of_text(value);
  };
  return type;
}

}  // namespace

namespace detail {

bool read_integer(Reader& reader, const Node& node, std::pair<std::int64_t, std::int64_t> range,
                  std::int64_t& out) {
  const std::string* text = reader.scalar(node, "a number");
  if (text == nullptr) return false;
  const char* end = text->data() + text->size();
  std::int64_t value = 0;
  const auto [rest, failure] = std::from_chars(text->data(), end, value);
  const std::string bounds = std::to_string(range.first) + " to " + std::to_string(range.second);
  const bool digits = rest == end && rest != text->data() && failure != std::errc::invalid_argument;
  if (!digits)
    return reader.error(node, Reader::shown(node) + " is not a whole number", "expected " + bounds);
  if (failure != std::errc() || value < range.first || value > range.second)
    return reader.error(node, Reader::shown(node) + " is out of range", "expected " + bounds);
  out = value;
  return true;
}

Value integer_schema(std::int64_t low, std::int64_t high) {
  Value number = Value::map({{"type", Value::of_text("integer")},
                             {"minimum", Value::of_plain(std::to_string(low))},
                             {"maximum", Value::of_plain(std::to_string(high))}});
  return any_of({number, Value::map({{"$ref", Value::of_text("#/definitions/quoted_number")}})});
}

bool unknown_word(Reader& reader, const Node& node, const std::vector<std::string_view>& words,
                  const std::vector<std::string_view>& later) {
  const std::string* text = reader.scalar(node, quoted_words(words));
  if (text == nullptr) return false;
  const std::string shown = Reader::shown(node);
  if (std::find(later.begin(), later.end(), *text) != later.end())
    return reader.error(node,
                        shown + " for " + reader.context() + " is not supported by this version");
  std::string hint = node.secret ? std::string() : did_you_mean(*text, words);
  if (hint.empty()) hint = "expected " + quoted_words(words);
  return reader.error(node, "unknown value " + shown + " for " + reader.context(), std::move(hint));
}

Value enum_schema(const std::vector<std::string_view>& words) {
  Value names = Value::list();
  for (std::string_view word : words) {
    names.items.push_back(Value::of_text(word));
    if (ascii::is_digit(word.front())) names.items.push_back(Value::of_plain(word));  // 1.2
  }
  return any_of({Value::map({{"enum", std::move(names)}}), expansion_schema()});
}

}  // namespace detail

Type<bool> boolean() {
  Type<bool> type;
  const Value words = Value::list({Value::of_bool(true), Value::of_bool(false),
                                   Value::of_text("true"), Value::of_text("false")});
  type.schema = any_of({Value::map({{"enum", words}}), expansion_schema()});
  type.read = [](Reader& reader, const Node& node, bool& out) {
    const std::string* text = reader.scalar(node, "true or false");
    if (text == nullptr) return false;
    if (*text == "true" || *text == "false") {
      out = *text == "true";
      return true;
    }
    const std::string lower = ascii::lower(*text);
    std::string hint;
    if (!node.secret && (lower == "yes" || lower == "on" || lower == "true" || lower == "1"))
      hint = "write true";
    if (!node.secret && (lower == "no" || lower == "off" || lower == "false" || lower == "0"))
      hint = "write false";
    return reader.error(node, Reader::shown(node) + " is not true or false", std::move(hint));
  };
  type.write = [](const bool& value) { return Value::of_bool(value); };
  return type;
}

Type<Duration> duration(Zero zero) {
  Type<Duration> type;
  type.schema = pattern_schema("^[0-9]+(ms|s|m|h|d)$", "a duration: 500ms, 5s, 1m, 2h, 7d", zero);
  type.read = [zero](Reader& reader, const Node& node, Duration& out) {
    std::uint64_t value = 0;
    if (!read_quantity(reader, node, kDuration, kTimes, {zero, &value})) return false;
    out = Duration(value);
    return true;
  };
  type.write = [](const Duration& value) {
    return Value::of_plain(duration_text(static_cast<std::uint64_t>(value.count())));
  };
  return type;
}

Type<std::uint64_t> size(Zero zero) {
  Type<std::uint64_t> type;
  type.schema =
      pattern_schema("^[0-9]+(B|KiB|MiB|GiB|TiB)$", "a size: 512B, 8KiB, 16MiB, 1GiB", zero);
  type.read = [zero](Reader& reader, const Node& node, std::uint64_t& out) {
    return read_quantity(reader, node, kSize, kSizes, {zero, &out});
  };
  type.write = [](const std::uint64_t& value) { return Value::of_plain(size_text(value)); };
  return type;
}

Type<std::uint64_t> byte_rate(Zero zero) {
  Type<std::uint64_t> type;
  type.schema = pattern_schema("^[0-9]+(B|KiB|MiB|GiB|TiB)/s$", "a rate: 240B/s, 1MiB/s", zero);
  type.read = [zero](Reader& reader, const Node& node, std::uint64_t& out) {
    return read_quantity(reader, node, kRate, kSizes, {zero, &out});
  };
  type.write = [](const std::uint64_t& value) {
    return Value::of_plain(value == 0 ? "0" : size_text(value) + "/s");
  };
  return type;
}

Type<Rate> rate(Zero zero) {
  Type<Rate> type;
  type.schema =
      pattern_schema("^[0-9]+/([0-9]+(ms|s|m|h|d)|[smh])$", "a rate: 50/s, 5/m, 100/10s", zero);
  type.read = [zero](Reader& reader, const Node& node, Rate& out) {
    return read_rate(reader, node, zero, out);
  };
  type.write = [](const Rate& value) { return Value::of_plain(rate_text(value)); };
  return type;
}

Type<std::uint32_t> percentage(std::uint32_t high) {
  Type<std::uint32_t> type;
  type.schema = pattern_schema("^[0-9]+%$", "a percentage: 20%", Zero::refused);
  type.read = [high](Reader& reader, const Node& node, std::uint32_t& out) {
    const std::string* text = reader.scalar(node, "a percentage");
    if (text == nullptr) return false;
    const std::optional<Quantity> q = quantity(*text);
    if (!q || q->unit != "%")
      return reader.error(
          node, Reader::shown(node) + " is not a percentage",
          q && q->unit.empty() && !node.secret ? "write " + std::to_string(q->number) + "%" : "");
    if (q->number > high)
      return reader.error(node, "a percentage of more than " + std::to_string(high) + "%");
    out = static_cast<std::uint32_t>(q->number);
    return true;
  };
  type.write = [](const std::uint32_t& value) {
    return Value::of_plain(std::to_string(value) + "%");
  };
  return type;
}

Type<std::string> text(std::string_view what) {
  return text_type(what, [](const std::string& text) -> std::string {
    if (text.empty()) return "it is empty";
    return has_control(text, false) ? "it holds a control character" : "";
  });
}

Type<std::string> long_text(std::string_view what) {
  return text_type(what, [](const std::string& text) -> std::string {
    return has_control(text, true) ? "it holds a control character" : "";
  });
}

Type<std::string> file_path(std::string_view what, std::vector<std::string_view> words) {
  Type<std::string> type = text(what);
  const auto is_word = [words = std::move(words)](const std::string& path) {
    return std::find(words.begin(), words.end(), path) != words.end();
  };
  type.read = [read = type.read, is_word, what](Reader& reader, const Node& node,
                                                std::string& out) {
    // A key or a certificate itself, say, by ${credential:NAME}.
    if (node.is_scalar() && node.secret && node.text.find('\n') != std::string::npos) {
      return reader.error(
          node, Reader::shown(node) + " is not " + std::string(what) + ": it holds a line end",
          "the file of a credential is ${env:CREDENTIALS_DIRECTORY}/NAME");
    }
    if (!read(reader, node, out)) return false;
    if (!is_word(out)) out = reader.path(node);
    return true;
  };
  type.write = [write = type.write, is_word](const std::string& path) {
    return is_word(path) ? Value::of_word(path) : write(path);
  };
  return type;
}

Type<std::string> token(std::string_view what) {
  return text_type(what, [](const std::string& text) -> std::string {
    return ascii::is_token(text) ? "" : "only letters, digits and !#$%&'*+-.^_`|~ may be in it";
  });
}

Type<std::string> field_name() {
  return text_type("a header name", [](const std::string& text) -> std::string {
    if (!ascii::is_token(text)) return "only letters, digits and !#$%&'*+-.^_`|~ may be in it";
    constexpr std::array<std::string_view, 8> kFraming{
        "connection", "content-length",    "keep-alive", "proxy-connection",
        "te",         "transfer-encoding", "trailer",    "upgrade"};
    const std::string lower = ascii::lower(text);
    const bool framing = std::find(kFraming.begin(), kFraming.end(), lower) != kFraming.end();
    return framing ? "the proxy itself writes this field" : "";
  });
}

Type<std::string> field_value() {
  Type<std::string> type = text_type("a header value", [](const std::string& text) -> std::string {
    if (text != ascii::trim(text)) return "it begins or ends with white space";
    for (char c : text) {
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F)
        return "it holds a control character";
    }
    return "";
  });
  type.write = [](const std::string& value) { return Value::of_text(value); };
  return type;
}

Type<std::string> name_text(std::string_view what) {
  return text_type(what, [](const std::string& text) -> std::string {
    if (text.empty()) return "it is empty";
    for (char c : text) {
      if (!ascii::is_alpha(c) && !ascii::is_digit(c) && c != '_' && c != '-' && c != '.')
        return "only letters, digits, '_', '-' and '.' may be in it";
    }
    return "";
  });
}

}  // namespace revproxyd::config
