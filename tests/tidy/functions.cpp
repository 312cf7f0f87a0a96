#include "tests/tidy/functions.h"

#include <algorithm>
#include <cctype>
#include <regex>
#include <string>

#include "tests/tidy/source.h"

namespace revproxyd::tidy {

namespace {

enum class Brace { scope, function, block, initializer, member_initializer };

char last_of(const std::string& header) {
  const std::size_t at = header.find_last_not_of(" \t\n");
  return at == std::string::npos ? '\0' : header[at];
}

// What stands before a brace at namespace or class level.
Brace outside_function(const std::string& header) {
  static const std::regex kScope(
      R"(^\s*(inline\s+|typedef\s+)?(template\s*<[^{]*>\s*)?(namespace|class|struct|union|enum|extern)\b)");
  static const std::regex kBeforeMembers(R"(\)\s*(noexcept\s*)?:(?!:))");
  static const std::regex kQualified(R"(\)[^(){}=;]*$)");
  if (std::regex_search(header, kScope) && last_of(header) != ')') return Brace::scope;
  if (std::regex_search(header, kBeforeMembers)) {
    const char last = last_of(header);
    return last == ')' || last == '}' ? Brace::function : Brace::member_initializer;
  }
  if (last_of(header) == ')' || std::regex_search(header, kQualified)) return Brace::function;
  return Brace::initializer;
}

// What stands before a brace inside a function.
Brace inside_function(const std::string& header) {
  static const std::regex kBlock(
      R"((^|[^\w])(else|do|try)\s*$|\)\s*(mutable|noexcept|const)?\s*$|\]\s*$|->\s*[\w:<>&* ]+$)");
  static const std::regex kLabel(R"(:\s*$)");
  if (header.find_first_not_of(" \t\n") == std::string::npos) return Brace::block;
  if (std::regex_search(header, kBlock) || std::regex_search(header, kLabel)) return Brace::block;
  return Brace::initializer;
}

// Counts what the first parameter list of a definition's header names.
std::size_t parameters_of(const std::string& header) {
  int angles = 0;
  std::size_t open = 0;
  for (; open < header.size(); ++open) {
    if (header[open] == '<' && !header.substr(0, open).ends_with("operator")) ++angles;
    if (header[open] == '>' && angles > 0) --angles;
    if (header[open] == '(' && angles == 0) break;
  }
  if (header.substr(0, open).ends_with("operator")) open = header.find('(', open + 1);
  if (open >= header.size()) return 0;
  int depth = 0;
  std::size_t commas = 0;
  bool any = false;
  for (std::size_t at = open + 1; at < header.size(); ++at) {
    const char c = header[at];
    if (c == ')' && depth == 0) break;
    if (c == '(' || c == '<' || c == '[') ++depth;
    if (c == ')' || c == ']' || (c == '>' && header[at - 1] != '-')) --depth;
    if (c == ',' && depth == 0) ++commas;
    any = any || std::isspace(static_cast<unsigned char>(c)) == 0;
  }
  return any ? commas + 1 : 0;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : code_(statements_of(text)) {}

  std::vector<Function> run() {
    for (std::size_t at = 0; at < code_.size(); ++at) take(code_[at]);
    return std::move(found_);
  }

 private:
  void take(char c) {
    if (c == '\n') ++line_;
    if (c == '(') ++parens_;
    if (c == ')') --parens_;
    if (c == '{') return open();
    if (c == '}') return close();
    if (c == ';' && parens_ == outer_parens()) return header_.clear();
    header_ += c;
  }

  bool in_function() const {
    return std::ranges::any_of(stack_,
                               [](const Level& level) { return level.kind == Brace::function; });
  }
  int outer_parens() const { return stack_.empty() ? 0 : stack_.back().parens; }

  void open() {
    Brace kind = in_function() ? inside_function(header_) : outside_function(header_);
    if (!stack_.empty() && stack_.back().kind == Brace::initializer && kind == Brace::function)
      kind = Brace::initializer;
    if (kind == Brace::function) found_.push_back({line_, 0, parameters_of(header_), 0});
    stack_.push_back({kind, line_, parens_, std::move(header_)});
    header_.clear();
    if (kind == Brace::block) {
      const auto blocks = std::ranges::count(stack_, Brace::block, &Level::kind);
      found_.back().nesting = std::max(found_.back().nesting, static_cast<std::size_t>(blocks));
    }
  }

  void close() {
    if (stack_.empty()) return;
    Level level = std::move(stack_.back());
    stack_.pop_back();
    header_.clear();
    if (level.kind == Brace::function) found_.back().length = line_ - level.line + 1;
    if (level.kind == Brace::initializer || level.kind == Brace::member_initializer)
      header_ = level.header + "{}";
  }

  struct Level {
    Brace kind;
    std::size_t line;
    int parens;
    std::string header;
  };

  std::string code_;
  std::string header_;
  std::vector<Level> stack_;
  std::vector<Function> found_;
  std::size_t line_ = 1;
  int parens_ = 0;
};

}  // namespace

std::vector<Function> functions_of(std::string_view text) { return Scanner(text).run(); }

}  // namespace revproxyd::tidy
