#pragma once
// What the rules look at: files of the tree as text, and that text without what is not code.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace revproxyd::tidy {

struct Source {
  std::string path;  // relative to the top of the tree, with '/'
  std::string text;
};

struct Finding {
  std::string path;
  std::size_t line = 0;  // counted from 1; 0 = the file as a whole
  std::string what;
};
using Findings = std::vector<Finding>;

/// Comments become spaces, and so does what stands inside string and character literals unless
/// `keep_literals`. Every byte keeps its place, line ends stay.
std::string code_of(std::string_view text, bool keep_literals = false);

/// code_of() with preprocessor lines blanked as well.
std::string statements_of(std::string_view text);

std::size_t line_of(std::string_view text, std::size_t offset);
std::vector<std::string> lines_of(std::string_view text);

struct Include {
  std::string name;  // without the brackets or quotes
  bool quoted = false;
  std::size_t line = 0;
};
std::vector<Include> includes_of(std::string_view text);

/// "net" for src/net/... and include/revproxyd/net/..., else empty.
std::string module_of(std::string_view path);

bool is_header(std::string_view path);
/// The file's name without directory and last extension.
std::string stem_of(std::string_view path);

/// Files below `directory` of the tree whose names end in one of `endings`, sorted. Empty when
/// there is no such directory.
std::vector<Source> tree(const std::string& directory, const std::vector<std::string>& endings);
/// src, include and tests: all C++ of the tree.
const std::vector<Source>& all_code();
/// src and include.
std::vector<Source> product_code();
bool exists_in_tree(const std::string& path);
std::string read_in_tree(const std::string& path);

/// One line a finding, to be shown when a rule fails.
std::string listing(const Findings& findings);
void append(Findings& to, Findings more);

}  // namespace revproxyd::tidy
