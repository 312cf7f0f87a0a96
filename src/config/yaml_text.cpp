#include "config/yaml_text.h"

#include <algorithm>
#include <array>

#include <yaml-cpp/exceptions.h>

namespace revproxyd::config {

namespace {

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// True if `line` has a dash at `column` that begins an item: only spaces and other dashes or keys
/// stand before it, and white space behind it.
bool is_item(std::string_view line, std::size_t column) {
  if (column >= line.size() || line[column] != '-') return false;
  if (column + 1 < line.size() && !is_space(line[column + 1])) return false;
  return line.substr(0, column).find('#') == std::string_view::npos;
}

bool tab_before(std::string_view text, std::size_t at) {
  for (std::size_t i = std::min(at, text.size()); i > 0; --i) {
    if (text[i - 1] == '\t') return true;
    if (text[i - 1] != ' ') return false;
  }
  return false;
}

/// True if the line of `at` begins with a tab, perhaps behind blanks.
bool tab_begins_line(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, std::min(at, text.size()));
  const std::string_view line = before.substr(before.rfind('\n') + 1);
  const std::size_t first = line.find_first_not_of(' ');
  return first != std::string_view::npos && line[first] == '\t';
}

struct Reason {
  std::string_view of_library;
  std::string_view ours;
};

const std::array<Reason, 9> kReasons{{
    {YAML::ErrorMsg::END_OF_MAP_FLOW, "expected ',' or '}'"},
    {YAML::ErrorMsg::END_OF_SEQ_FLOW, "expected ',' or ']'"},
    {YAML::ErrorMsg::END_OF_MAP, "expected a key as far indented as those before"},
    {YAML::ErrorMsg::END_OF_SEQ, "expected a '-' as far indented as those before"},
    {YAML::ErrorMsg::BLOCK_ENTRY,
     "no item of a list can begin here: behind a key, or in a bracket that is still open"},
    {YAML::ErrorMsg::MAP_KEY, "no key can stand here"},
    {YAML::ErrorMsg::MAP_VALUE, "a ':' inside of a value or without a key"},
    {YAML::ErrorMsg::EOF_IN_SCALAR, "a quote that is never closed"},
    {YAML::ErrorMsg::UNKNOWN_ANCHOR, "an alias to an anchor that is not defined"},
}};

}  // namespace

std::optional<std::size_t> dash_of_empty_item(std::string_view text, std::size_t end,
                                              std::size_t column) {
  std::size_t stop = std::min(end, text.size());
  while (true) {
    const std::size_t newline = stop == 0 ? std::string_view::npos : text.rfind('\n', stop - 1);
    const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    if (is_item(text.substr(begin, stop - begin), column)) return begin + column;
    if (begin == 0) return std::nullopt;
    stop = begin - 1;
  }
}

bool says_null(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(std::min(at, text.size()));
  return rest.starts_with('~') || rest.starts_with("null") || rest.starts_with("Null") ||
         rest.starts_with("NULL");
}

std::optional<std::size_t> unclosed_quote(std::string_view text, std::size_t at) {
  while (at < text.size() && (text[at] == '&' || text[at] == '!')) {
    while (at < text.size() && !is_space(text[at])) ++at;
    while (at < text.size() && is_space(text[at])) ++at;
  }
  if (at >= text.size() || (text[at] != '"' && text[at] != '\'')) return std::nullopt;
  const char quote = text[at];
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      const bool doubled = quote == '\'' && i + 1 < text.size() && text[i + 1] == quote;
      if (!doubled) return std::nullopt;
      ++i;
    }
  }
  return at;
}

std::string explain_refusal(const std::string& reason, std::string_view text, std::size_t at) {
  const std::string character(text.substr(std::min(at, text.size()), 1));
  // The library takes the first key of a block for a value that goes on, and stops at its ':'.
  const bool key = reason == YAML::ErrorMsg::MAP_VALUE && tab_begins_line(text, at);
  if (key || tab_before(text, at)) return "a tab in the indentation, which is of spaces";
  if (reason == YAML::ErrorMsg::UNKNOWN_TOKEN && !character.empty())
    return "no value begins with '" + character + "' unless it is quoted";
  if (reason == YAML::ErrorMsg::FLOW_END) return "'" + character + "' closes nothing";
  for (const Reason& known : kReasons) {
    if (known.of_library == reason) return std::string(known.ours);
  }
  return reason;
}

}  // namespace revproxyd::config
