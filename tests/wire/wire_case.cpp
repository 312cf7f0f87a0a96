#include "tests/wire/wire_case.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "revproxyd/base/ascii.h"

namespace revproxyd::wire {

namespace {

std::size_t number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::runtime_error("not a number: " + std::string(text));
  return value;
}

std::string unescape(std::string_view text);

// "\{COUNT:TEXT}"; returns how many characters of `text` it took.
std::size_t expand_repeat(std::string_view text, std::string& out) {
  const std::size_t colon = text.find(':');
  const std::size_t close = text.find('}');
  if (colon == std::string_view::npos || close == std::string_view::npos)
    throw std::runtime_error("open repeat");
  const std::string once = unescape(text.substr(colon + 1, close - colon - 1));
  for (std::size_t i = number(text.substr(2, colon - 2)); i != 0; --i) out += once;
  return close + 1;
}

std::string unescape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.front() != '\\') {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 2) throw std::runtime_error("lone backslash");
    std::size_t taken = 2;
    switch (text[1]) {
      case 'r': out += '\r'; break;
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case '0': out += '\0'; break;
      case '\\': out += '\\'; break;
      case 'x':
        if (text.size() < 4) throw std::runtime_error("short \\x");
        out += static_cast<char>(ascii::hex_value(text[2]) * 16 + ascii::hex_value(text[3]));
        taken = 4;
        break;
      case '{': taken = expand_repeat(text, out); break;
      default: throw std::runtime_error("unknown escape in " + std::string(text));
    }
    text.remove_prefix(taken);
  }
  return out;
}

void apply_option(std::string_view option, Case& wire_case) {
  const std::size_t equals = option.find('=');
  const std::string_view key = option.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view{} : option.substr(equals + 1);
  if (key == "method") {
    wire_case.method = http::lookup_method(value);
  } else if (key == "start_line") {
    wire_case.limits.start_line = number(value);
  } else if (key == "header_bytes") {
    wire_case.limits.header_bytes = number(value);
  } else if (key == "header_count") {
    wire_case.limits.header_count = number(value);
  } else {
    throw std::runtime_error("unknown option " + std::string(option));
  }
}

void open_block(const std::string& info, Case& wire_case) {
  std::istringstream words(info);
  std::string word;
  words >> word;
  if (word == "request") {
    wire_case.input = Input::request;
  } else if (word == "response") {
    wire_case.input = Input::response;
  } else if (word == "chunked") {
    wire_case.input = Input::chunked;
  } else {
    throw std::runtime_error("unknown block " + word);
  }
  while (words >> word) apply_option(word, wire_case);
}

// A file is prose, headings "## title", and under each heading a block of bytes and a block of
// outcome lines.
std::vector<Case> load_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<Case> cases;
  std::string title;
  std::string line;
  enum class Inside { prose, bytes, outcome } inside = Inside::prose;
  while (std::getline(file, line)) {
    if (inside != Inside::prose) {
      if (line == "```") {
        inside = Inside::prose;
      } else if (inside == Inside::bytes) {
        cases.back().bytes += unescape(line);
      } else {
        cases.back().expected.push_back(line);
      }
    } else if (line.starts_with("## ")) {
      title = line.substr(3);
    } else if (line == "```outcome") {
      if (cases.empty() || !cases.back().expected.empty())
        throw std::runtime_error("outcome without bytes: " + title);
      inside = Inside::outcome;
    } else if (line.starts_with("```")) {
      cases.emplace_back();
      cases.back().file = path.stem().string();
      cases.back().title = title;
      open_block(line.substr(3), cases.back());
      inside = Inside::bytes;
    }
  }
  return cases;
}

}  // namespace

std::vector<Case> load_cases(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".md") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Case> cases;
  for (const auto& file : files) {
    try {
      auto more = load_file(file);
      std::move(more.begin(), more.end(), std::back_inserter(cases));
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(file.string() + ": " + error.what());
    }
  }
  return cases;
}

std::string escape(std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\r') {
      out += "\\r";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\\') {
      out += "\\\\";
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace revproxyd::wire
