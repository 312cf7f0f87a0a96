#include "tests/tidy/source.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

namespace revproxyd::tidy {

namespace {

namespace fs = std::filesystem;

fs::path top() { return fs::path(REVPROXYD_SOURCE_DIR); }

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Walks the text once and blanks what is not code.
class Blanker {
 public:
  Blanker(std::string_view text, bool keep_literals) : out_(text), keep_literals_(keep_literals) {}

  std::string run() {
    while (at_ < out_.size()) step();
    return std::move(out_);
  }

 private:
  char peek(std::size_t ahead) const {
    return at_ + ahead < out_.size() ? out_[at_ + ahead] : '\0';
  }

  void step() {
    const char c = out_[at_];
    if (c == '/' && peek(1) == '/') return blank(out_.find('\n', at_), true);
    if (c == '/' && peek(1) == '*') return blank(after("*/", at_ + 2), true);
    if (c == '"') return raw_string() ? skip_raw() : skip_quoted('"');
    if (c == '\'' && (at_ == 0 || !is_word(out_[at_ - 1]))) return skip_quoted('\'');
    ++at_;
  }

  bool raw_string() const {
    if (at_ == 0 || out_[at_ - 1] != 'R') return false;
    return at_ < 2 || !is_word(out_[at_ - 2]);
  }

  void skip_raw() {
    const std::size_t open = out_.find('(', at_);
    if (open == std::string::npos) return blank(out_.size(), false);
    const std::string close = ")" + out_.substr(at_ + 1, open - at_ - 1) + "\"";
    ++at_;
    const std::size_t end = after(close, open);
    blank(end == out_.size() ? end : end - 1, false);
    ++at_;
  }

  void skip_quoted(char quote) {
    std::size_t end = ++at_;
    while (end < out_.size() && out_[end] != quote && out_[end] != '\n')
      end += out_[end] == '\\' ? 2U : 1U;
    blank(std::min(end, out_.size()), false);
    ++at_;
  }

  std::size_t after(std::string_view what, std::size_t from) const {
    const std::size_t found = out_.find(what, from);
    return found == std::string::npos ? out_.size() : found + what.size();
  }

  void blank(std::size_t end, bool always) {
    end = std::min(end, out_.size());
    for (; at_ < end; ++at_) {
      if (out_[at_] != '\n' && (always || !keep_literals_)) out_[at_] = ' ';
    }
  }

  std::string out_;
  bool keep_literals_;
  std::size_t at_ = 0;
};

}  // namespace

std::string code_of(std::string_view text, bool keep_literals) {
  return Blanker(text, keep_literals).run();
}

std::string statements_of(std::string_view text) {
  std::string code = code_of(text);
  bool continued = false;
  for (std::size_t begin = 0; begin < code.size();) {
    const std::size_t end = std::min(code.find('\n', begin), code.size());
    const std::size_t first = code.find_first_not_of(" \t", begin);
    if (continued || (first < end && code[first] == '#')) {
      continued = end > begin && code[end - 1] == '\\';
      std::fill(code.begin() + static_cast<std::ptrdiff_t>(begin),
                code.begin() + static_cast<std::ptrdiff_t>(end), ' ');
    }
    begin = end + 1;
  }
  return code;
}

std::size_t line_of(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  return 1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<Include> includes_of(std::string_view text) {
  static const std::regex kPattern(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  std::vector<Include> found;
  const std::vector<std::string> lines = lines_of(code_of(text, true));
  for (std::size_t at = 0; at < lines.size(); ++at) {
    std::smatch match;
    if (std::regex_search(lines[at], match, kPattern))
      found.push_back({match[2], match[1] == "\"", at + 1});
  }
  return found;
}

std::string module_of(std::string_view path) {
  for (const std::string_view prefix :
       {std::string_view("src/"), std::string_view("include/revproxyd/")}) {
    if (!path.starts_with(prefix)) continue;
    const std::string_view rest = path.substr(prefix.size());
    const std::size_t slash = rest.find('/');
    if (slash != std::string_view::npos) return std::string(rest.substr(0, slash));
  }
  return {};
}

bool is_header(std::string_view path) { return path.ends_with(".h"); }

std::string stem_of(std::string_view path) { return fs::path(path).stem().string(); }

std::vector<Source> tree(const std::string& directory, const std::vector<std::string>& endings) {
  std::vector<Source> files;
  const fs::path root = top() / directory;
  if (!fs::exists(root)) return files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    const std::string path = fs::relative(entry.path(), top()).generic_string();
    const auto fits = [&path](const std::string& ending) { return path.ends_with(ending); };
    if (std::ranges::any_of(endings, fits)) files.push_back({path, read_in_tree(path)});
  }
  std::ranges::sort(files, {}, &Source::path);
  return files;
}

const std::vector<Source>& all_code() {
  static const std::vector<Source> kFiles = [] {
    std::vector<Source> files;
    for (const char* directory : {"include", "src", "tests"}) {
      for (Source& file : tree(directory, {".h", ".cpp"})) files.push_back(std::move(file));
    }
    return files;
  }();
  return kFiles;
}

std::vector<Source> product_code() {
  std::vector<Source> files;
  std::ranges::copy_if(all_code(), std::back_inserter(files),
                       [](const Source& file) { return !file.path.starts_with("tests/"); });
  return files;
}

bool exists_in_tree(const std::string& path) { return fs::exists(top() / path); }

std::string read_in_tree(const std::string& path) {
  std::ifstream in(top() / path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string listing(const Findings& findings) {
  std::string out;
  for (const Finding& finding : findings) {
    out += finding.path + ":" + std::to_string(finding.line) + ": " + finding.what + "\n";
  }
  return out;
}

void append(Findings& to, Findings more) { std::ranges::move(more, std::back_inserter(to)); }

}  // namespace revproxyd::tidy
