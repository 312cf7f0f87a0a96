#include "tests/support/access_entry.h"

#include <stdexcept>

namespace revproxyd::testing {

namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text), whole_(text) {}

  bool take(char expected) {
    if (text_.empty() || text_.front() != expected) return false;
    text_.remove_prefix(1);
    return true;
  }

  void need(char expected) {
    if (!take(expected))
      throw std::runtime_error("not the JSON that was expected: " + std::string(whole_));
  }

  bool at_text() const { return text_.starts_with('"'); }
  bool at_end() const { return text_.empty(); }

  std::string text() {
    need('"');
    std::string out;
    while (!take('"')) {
      if (text_.empty()) need('"');
      const char c = text_.front();
      text_.remove_prefix(1);
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) need('\0');
      out += c == '\\' ? escaped() : c;
    }
    return out;
  }

  double number() {
    std::size_t size = 0;
    const double value = std::stod(std::string(text_.substr(0, 40)), &size);
    text_.remove_prefix(size);
    return value;
  }

 private:
  char escaped() {
    const char kind = text_.empty() ? '\0' : text_.front();
    text_.remove_prefix(text_.empty() ? 0 : 1);
    switch (kind) {
      case '"':
      case '\\':
      case '/': return kind;
      case 'n': return '\n';
      case 'r': return '\r';
      case 't': return '\t';
      case 'b': return '\b';
      case 'f': return '\f';
      case 'u': break;
      default: need('\0');
    }
    const int code = std::stoi(std::string(text_.substr(0, 4)), nullptr, 16);
    text_.remove_prefix(4);
    return static_cast<char>(code);
  }

  std::string_view text_;
  std::string_view whole_;
};

}  // namespace

AccessEntry::AccessEntry(std::string_view line) : line_(line) {
  Scanner scanner(line);
  scanner.need('{');
  do {
    const std::string name = scanner.text();
    scanner.need(':');
    if (has(name)) throw std::runtime_error("twice in a line of the access log: " + name);
    if (scanner.at_text()) {
      texts_[name] = scanner.text();
    } else {
      numbers_[name] = scanner.number();
    }
  } while (scanner.take(','));
  scanner.need('}');
  if (!scanner.at_end()) scanner.need('\n');
}

std::string AccessEntry::text(const std::string& name) const {
  const auto found = texts_.find(name);
  return found != texts_.end() ? found->second : "";
}

double AccessEntry::number(const std::string& name) const {
  const auto found = numbers_.find(name);
  if (found == numbers_.end()) throw std::runtime_error("no number '" + name + "' in " + line_);
  return found->second;
}

}  // namespace revproxyd::testing
