#include "tests/integration/differential_table.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <stdexcept>

namespace revproxyd::testing::differential {

namespace {

// A piece of a cell: a word, or a text in backticks.
struct Token {
  bool quoted = false;
  std::string text;
};

using Cell = std::vector<Token>;

struct Row {
  std::string name;
  std::vector<Cell> cells;  // behind the name
};

std::string unescape(std::string_view text);

// "\{COUNT:TEXT}" in front of `text`; returns how much it took.
std::size_t repeat(std::string_view text, std::string& out) {
  const std::size_t colon = text.find(':');
  const std::size_t close = text.find('}');
  if (colon == std::string_view::npos || close == std::string_view::npos || close < colon)
    throw std::runtime_error("open \\{");
  const std::string once = unescape(text.substr(colon + 1, close - colon - 1));
  for (int left = std::stoi(std::string(text.substr(2, colon - 2))); left > 0; --left) out += once;
  return close + 1;
}

// An escape in front of `text`; returns how much it took.
std::size_t escape(std::string_view text, std::string& out) {
  constexpr std::string_view kLetters = "rnt0\\";
  constexpr std::string_view kBytes("\r\n\t\0\\", 5);
  if (text.size() < 2) throw std::runtime_error("lone backslash");
  if (text[1] == '{') return repeat(text, out);
  if (text[1] == 'x' && text.size() >= 4) {
    out += static_cast<char>(std::stoi(std::string(text.substr(2, 2)), nullptr, 16));
    return 4;
  }
  const std::size_t letter = kLetters.find(text[1]);
  if (letter == std::string_view::npos) throw std::runtime_error("unknown escape");
  out += kBytes[letter];
  return 2;
}

std::string unescape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t taken = 1;
    if (text.front() == '\\') {
      taken = escape(text, out);
    } else {
      out += text.front();
    }
    text.remove_prefix(taken);
  }
  return out;
}

bool is_blank(char c) { return c == ' '; }

Cell read_cell(std::string_view text) {
  Cell cell;
  while (!text.empty()) {
    if (is_blank(text.front())) {
      text.remove_prefix(1);
      continue;
    }
    const bool quoted = text.front() == '`';
    if (quoted) text.remove_prefix(1);
    const std::size_t end = quoted ? text.find('`') : text.find_first_of(" `");
    if (quoted && end == std::string_view::npos) throw std::runtime_error("open backtick");
    const std::string_view token = text.substr(0, end);
    cell.push_back({quoted, quoted ? unescape(token) : std::string(token)});
    text.remove_prefix(std::min(text.size(), token.size() + (quoted ? 1 : 0)));
  }
  return cell;
}

// "| name | cell | cell |"
Row read_row(std::string_view line) {
  Row row;
  line.remove_prefix(1);
  bool first = true;
  for (std::size_t bar = line.find('|'); bar != std::string_view::npos; bar = line.find('|')) {
    std::string_view cell = line.substr(0, bar);
    line.remove_prefix(bar + 1);
    if (!std::exchange(first, false)) {
      row.cells.push_back(read_cell(cell));
      continue;
    }
    while (!cell.empty() && is_blank(cell.front())) cell.remove_prefix(1);
    while (!cell.empty() && is_blank(cell.back())) cell.remove_suffix(1);
    row.name = cell;
  }
  return row;
}

// `make` turns each row into what it stands for. The two lines above a table's rows are its head.
template <typename Made>
std::vector<Made> load(const std::string& name, std::size_t cells, Made (*make)(const Row&)) {
  const std::string path =
      std::string(REVPROXYD_SOURCE_DIR) + "/tests/integration/differential/" + name;
  std::ifstream file(path);
  if (!file) throw std::runtime_error("no table " + path);
  std::vector<Made> out;
  int above = 0;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with('|')) above = 0;
    if (!line.starts_with('|') || ++above <= 2) continue;
    try {
      const Row row = read_row(line);
      if (row.cells.size() != cells) throw std::runtime_error("wrong number of cells");
      out.push_back(make(row));
    } catch (const std::exception& problem) {
      throw std::runtime_error(name + ": " + problem.what() + ": " + line);
    }
  }
  return out;
}

// Takes "1: " or "2: " off: the versions for which the rest holds.
std::vector<Spoken> versions(std::string& text) {
  const bool one = text.starts_with("1: ");
  if (!one && !text.starts_with("2: ")) return {Spoken::http1, Spoken::http2};
  text.erase(0, 3);
  return {one ? Spoken::http1 : Spoken::http2};
}

std::size_t index(Spoken version) { return static_cast<std::size_t>(version); }

// "name: value"; the colon of a pseudo-field is its first character.
std::pair<std::string, std::string> field(const std::string& line) {
  const std::size_t colon = line.find(": ");
  if (colon != std::string::npos) return {line.substr(0, colon), line.substr(colon + 2)};
  if (!line.ends_with(':')) throw std::runtime_error("no field: " + line);
  return {line.substr(0, line.size() - 1), ""};
}

void set_request_line(Asked& asked, const std::string& line) {
  const std::size_t space = line.find(' ');
  asked.method = line.substr(0, space);
  asked.path = space == std::string::npos ? "" : line.substr(space + 1);
}

// The pieces behind the request line.
void set_part(Asked& asked, const std::string& text) {
  const std::size_t space = std::min(text.find(' '), text.size());
  const std::string what = text.substr(0, space);
  const std::string value = text.substr(std::min(space + 1, text.size()));
  if (what == "method") {
    asked.method = value;
  } else if (what == "path") {
    asked.path = value;
  } else if (what == "authority") {
    asked.authority = value;
  } else if (what == "scheme") {
    asked.scheme = value;
  } else if (text == "no path") {
    asked.has_path = false;
  } else if (text == "no scheme") {
    asked.has_scheme = false;
  } else if (text == "no authority") {
    asked.has_authority = false;
  } else {
    throw std::runtime_error("unknown part " + text);
  }
}

void read_request_cell(const Cell& cell, std::array<Asked, 2>& asked) {
  bool first = true;
  for (const Token& token : cell) {
    std::string text = token.text;
    for (const Spoken version : versions(text)) {
      Asked& one = asked[index(version)];
      first ? set_request_line(one, text) : set_part(one, text);
    }
    first = false;
  }
}

// "`name: value`", in front of which a number says how often.
void read_fields_cell(const Cell& cell, std::array<Asked, 2>& asked) {
  int times = 1;
  for (const Token& token : cell) {
    if (!token.quoted) {
      if (std::isdigit(static_cast<unsigned char>(token.text.front())) != 0)
        times = std::stoi(token.text);
      continue;
    }
    std::string text = token.text;
    for (const Spoken version : versions(text)) {
      h2::Fields& fields = asked[index(version)].fields;
      fields.insert(fields.end(), static_cast<std::size_t>(times), field(text));
    }
    times = 1;
  }
}

Length length_of(const std::string& word) {
  if (word == "known") return Length::known;
  if (word == "unknown") return Length::unknown;
  if (word == "said") return Length::said;
  throw std::runtime_error("unknown length " + word);
}

void read_content_cell(const Cell& cell, std::array<Asked, 2>& asked) {
  bool trailers = false;
  for (const Token& token : cell) {
    if (!token.quoted && token.text == "trailers") {
      trailers = true;
    } else if (!token.quoted && token.text == "cut") {
      for (Asked& one : asked) one.cut = true;
    } else if (!token.quoted) {
      for (Asked& one : asked) one.length = length_of(token.text);
    } else if (!trailers) {
      for (Asked& one : asked) one.pieces.push_back(token.text);
    } else {
      std::string text = token.text;
      for (const Spoken version : versions(text))
        asked[index(version)].trailers.push_back(field(text));
    }
  }
}

Verdict verdict_of(const std::string& word) {
  if (word == "passed") return {.passed = true};
  if (word == "malformed") return {.malformed = true, .status = 400};
  return {.status = std::stoi(word)};
}

// One verdict for both versions or one for each, then what is seen.
void read_outcome_cell(const Cell& cell, RequestRow& row) {
  std::size_t said = 0;
  for (const Token& token : cell) {
    if (token.quoted) {
      row.seen.push_back(token.text);
    } else if (token.text == "begun") {
      row.may_begin = true;
    } else {
      row.verdict.at(said++) = verdict_of(token.text);
    }
  }
  if (said == 0) throw std::runtime_error("no verdict");
  if (said == 1) row.verdict[1] = row.verdict[0];
}

RequestRow make_request(const Row& row) {
  RequestRow out;
  out.name = row.name;
  read_request_cell(row.cells[0], out.asked);
  read_fields_cell(row.cells[1], out.asked);
  read_content_cell(row.cells[2], out.asked);
  read_outcome_cell(row.cells[3], out);
  return out;
}

AnswerRow make_answer(const Row& row) {
  AnswerRow out;
  out.name = row.name;
  out.method = row.cells[0].at(0).text;
  for (const Token& token : row.cells[1]) out.bytes += token.text + "\r\n";
  out.bytes += "\r\n";
  for (const Token& token : row.cells[2]) {
    if (token.quoted) out.bytes += token.text;
    out.closes |= !token.quoted && token.text == "closes";
  }
  out.status = std::stoi(row.cells[3].at(0).text);
  for (const Token& token : row.cells[3]) {
    if (token.quoted) out.seen.push_back(token.text);
    out.broken |= !token.quoted && token.text == "broken";
  }
  return out;
}

}  // namespace

std::string Asked::content() const {
  std::string out;
  for (const std::string& piece : pieces) out += piece;
  return out;
}

std::vector<RequestRow> load_requests(const std::string& file) {
  return load(file, 4, make_request);
}

std::vector<AnswerRow> load_answers(const std::string& file) { return load(file, 4, make_answer); }

}  // namespace revproxyd::testing::differential
