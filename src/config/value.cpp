#include "revproxyd/config/value.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "revproxyd/base/ascii.h"

namespace revproxyd::config {

namespace {

/// Text that means itself without quotes in every YAML reader.
bool plain_safe(std::string_view text) {
  if (text.empty() || text == "null" || text == "Null" || text == "NULL") return false;
  if (!ascii::is_alpha(text.front()) && !ascii::is_digit(text.front()) && text.front() != '/')
    return false;
  bool number = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool word = ascii::is_alpha(c) || ascii::is_digit(c) ||
                      std::string_view("_-./@+=").find(c) != std::string_view::npos;
    const bool colon = c == ':' && i + 1 < text.size();
    if (!word && !colon) return false;
    number = number && (ascii::is_digit(c) || c == '.' || c == '+' || c == '-' || c == ':');
  }
  return !number && text != "true" && text != "false";
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      out += '\\', out += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (c == '\r')
      out += "\\r";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04X", static_cast<unsigned>(c));
      out += code;
    } else
      out += c;
  }
  return out += '"';
}

/// The reader would expand "${", so what is meant literally is written "$${".
std::string yaml_text(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') out += '$';
    out += text[i];
  }
  return plain_safe(out) ? out : quoted(out);
}

/// Reading may lower the case of a host and drop the last '/' or '.' of a URL or name; a secret
/// stays one.
std::string folded(std::string_view text) {
  while (text.ends_with('/') || text.ends_with('.')) text.remove_suffix(1);
  return ascii::lower(text);
}

class YamlWriter {
 public:
  explicit YamlWriter(const std::set<std::string>& secrets) {
    for (const std::string& secret : secrets) secrets_.insert(folded(secret));
  }

  std::string scalar(const Value& value) const {
    if (value.form == Form::plain) return value.text;
    if (value.form == Form::word) return yaml_text(value.text);
    return is_secret(value.text) ? "<redacted>" : yaml_text(value.text);
  }

  /// True if the value fits behind "key: " on one line.
  static bool is_inline(const Value& value) {
    if (value.form == Form::map) return value.members.empty();
    if (value.form != Form::list) return true;
    for (const Value& item : value.items) {
      if (item.form == Form::list || item.form == Form::map) return false;
    }
    return true;
  }

  std::string inline_text(const Value& value) const {
    if (value.form == Form::map) return "{}";
    if (value.form != Form::list) return scalar(value);
    std::string line = "[";
    for (const Value& item : value.items) line += (line.size() > 1 ? ", " : "") + scalar(item);
    return line + "]";
  }

  void block(const Value& value, std::size_t indent, bool first_in_place) {
    const std::string margin(indent, ' ');
    bool first = first_in_place;
    if (value.form == Form::list) {
      for (const Value& item : value.items) {
        out += (first ? std::string() : margin) + "- ";
        first = false;
        if (is_inline(item))
          out += inline_text(item) + "\n";
        else
          block(item, indent + 2, true);
      }
      return;
    }
    for (const auto& [key, member] : value.members) {
      const std::string name = value.names && is_secret(key) ? "<redacted>" : yaml_text(key);
      out += (first ? std::string() : margin) + name + ":";
      first = false;
      if (is_inline(member)) {
        out += " " + inline_text(member) + "\n";
      } else {
        out += "\n";
        block(member, indent + 2, false);
      }
    }
  }

  std::string out;

 private:
  bool is_secret(std::string_view text) const {
    return !secrets_.empty() && secrets_.count(folded(text)) != 0;
  }

  std::set<std::string> secrets_;
};

bool json_bare(std::string_view text) {
  if (text == "true" || text == "false") return true;
  if (text.starts_with('-')) text.remove_prefix(1);
  const auto digits = [](std::string_view part) {
    return !part.empty() && std::all_of(part.begin(), part.end(), ascii::is_digit);
  };
  const std::size_t dot = text.find('.');
  return digits(text.substr(0, dot)) &&
         (dot == std::string_view::npos || digits(text.substr(dot + 1)));
}

void json(const Value& value, std::size_t indent, std::string& out) {
  const std::string margin(indent + 2, ' ');
  if (value.form == Form::plain && json_bare(value.text)) {
    out += value.text;
  } else if (value.form == Form::list) {
    out += '[';
    for (std::size_t i = 0; i < value.items.size(); ++i) {
      out += (i == 0 ? "\n" : ",\n") + margin;
      json(value.items[i], indent + 2, out);
    }
    out += value.items.empty() ? "]" : "\n" + std::string(indent, ' ') + "]";
  } else if (value.form == Form::map) {
    out += '{';
    for (std::size_t i = 0; i < value.members.size(); ++i) {
      out += (i == 0 ? "\n" : ",\n") + margin + quoted(value.members[i].first) + ": ";
      json(value.members[i].second, indent + 2, out);
    }
    out += value.members.empty() ? "}" : "\n" + std::string(indent, ' ') + "}";
  } else {
    out += quoted(value.text);
  }
}

struct Unit {
  std::uint64_t size;
  const char* name;
};

std::string in_units(std::uint64_t number, const std::array<Unit, 5>& units) {
  for (const Unit& unit : units) {
    if (number % unit.size == 0) return std::to_string(number / unit.size) + unit.name;
  }
  return std::to_string(number);
}

}  // namespace

Value Value::of_text(std::string_view text) {
  Value value;
  value.form = Form::text;
  value.text = text;
  return value;
}

Value Value::of_word(std::string_view word) {
  Value value = of_text(word);
  value.form = Form::word;
  return value;
}

Value Value::of_plain(std::string_view text) {
  Value value = of_text(text);
  value.form = Form::plain;
  return value;
}

Value Value::of_number(std::uint64_t number) { return of_plain(std::to_string(number)); }

Value Value::of_bool(bool value) { return of_plain(value ? "true" : "false"); }

Value Value::list(std::vector<Value> items) {
  Value value;
  value.form = Form::list;
  value.items = std::move(items);
  return value;
}

Value Value::map(Members members) {
  Value value;
  value.form = Form::map;
  value.members = std::move(members);
  return value;
}

Value Value::map_of_names(Members members) {
  Value value = map(std::move(members));
  value.names = true;
  return value;
}

Value& Value::set(std::string key, Value value) {
  if (!value.absent()) members.emplace_back(std::move(key), std::move(value));
  return *this;
}

std::string to_yaml(const Value& value, const std::set<std::string>& secrets) {
  YamlWriter writer(secrets);
  writer.block(value, 0, false);
  return std::move(writer.out);
}

std::string to_json(const Value& value) {
  std::string out;
  json(value, 0, out);
  return out + "\n";
}

std::string duration_text(std::uint64_t milliseconds) {
  if (milliseconds == 0) return "0s";
  return in_units(milliseconds,
                  {{{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}}});
}

std::string size_text(std::uint64_t bytes) {
  if (bytes == 0) return "0";
  return in_units(bytes, {{{1ULL << 40, "TiB"},
                           {1ULL << 30, "GiB"},
                           {1ULL << 20, "MiB"},
                           {1ULL << 10, "KiB"},
                           {1, "B"}}});
}

}  // namespace revproxyd::config
