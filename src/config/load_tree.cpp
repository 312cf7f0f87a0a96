#include "revproxyd/config/load_tree.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "config/expand.h"
#include "config/file_pattern.h"
#include "config/text_file.h"
#include "config/yaml.h"
#include "revproxyd/config/reader.h"
#include "revproxyd/config/value.h"

namespace revproxyd::config {

namespace {

namespace fs = std::filesystem;

/// One file for all its names.
std::string identity(const std::string& path) {
  std::error_code ignored;
  const fs::path whole = fs::weakly_canonical(path, ignored);
  return ignored ? path : whole.string();
}

/// From the root on, while the working directory is still there; ".." in it stays, for it may
/// follow a link.
std::string whole_path(const fs::path& path) {
  std::error_code ignored;
  const fs::path whole = path.empty() ? fs::current_path(ignored) : fs::absolute(path, ignored);
  return ignored ? path.string() : whole.string();
}

/// Reads a file and what it includes, depth first, and merges section by section.
class Loader {
 public:
  Loader(Report& report, const ReadLimits& limits) : report_(report), limits_(limits) {}

  /// `from`: what includes it, if anything does.
  void file(const std::string& path, const Node* from) {
    RegularFile read = read_text_file(path, limits_.file_bytes);
    if (!read.ok) {
      if (from != nullptr)
        report_.error(from->mark, "cannot read " + shown(*from, path) + ": " + read.problem);
      else
        report_.error("cannot read " + path + ": " + read.problem);
      tree_.whole = false;
      return;
    }
    tree_.files.push_back(path);
    const std::string id = identity(path);
    seen_.insert(id);
    open_.push_back(id);
    text(std::move(read.text), path, fs::path(path).parent_path());
    open_.pop_back();
  }

  void text(std::string text, const std::string& name, const fs::path& directory) {
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
    spent_.bytes += text.size();
    const std::uint32_t source = report_.add_source(name, text, whole_path(directory));
    if (text.size() > limits_.file_bytes || spent_.bytes > limits_.total_bytes) {
      return unread(Mark{source, 0, 0, 0}, text.size() > limits_.file_bytes
                                               ? "larger than " + size_text(limits_.file_bytes)
                                               : too_large_together(limits_));
    }
    Node root;
    if (!parse_yaml(text, source, limits_, spent_, report_, root)) {
      tree_.whole = false;
      return;
    }
    expand(root, limits_, spent_, report_, tree_.secrets);
    if (root.kind == Kind::null) return;
    if (!root.is_map()) {
      return unread(root.mark, "expected keys such as 'listeners:' and 'routes:', found " +
                                   std::string(config::name(root.kind)));
    }
    Node include;
    merge(std::move(root), include);
    includes(include, directory);
  }

  Tree take() {
    tree_.root.kind = Kind::map;
    return std::move(tree_);
  }

 private:
  /// A path that `include` led to, for messages about that line.
  static std::string shown(const Node& include, const std::string& path) {
    return include.secret ? "<redacted>" : path;
  }

  void unread(const Mark& mark, const std::string& why) {
    report_.error(mark, why);
    tree_.whole = false;
  }

  void merge(Node from, Node& include) {
    for (Entry& entry : from.entries) {
      if (entry.key == "include") {
        include = std::move(entry.value);
        continue;
      }
      std::vector<Entry>& sections = tree_.root.entries;
      const auto [section, is_new] = sections_.emplace(entry.key, sections.size());
      if (is_new)
        sections.push_back(std::move(entry));
      else
        merge_section(sections[section->second], std::move(entry));
    }
  }

  void merge_section(Entry& into, Entry from) {
    match_list(into.value, from.value);
    match_list(from.value, into.value);
    if (into.value.is_list() && from.value.is_list()) {
      std::move(from.value.items.begin(), from.value.items.end(),
                std::back_inserter(into.value.items));
    } else if (into.value.is_map() && from.value.is_map()) {
      merge_map(into, std::move(from));
    } else if (from.value.kind == Kind::null) {
      return;
    } else if (into.value.kind == Kind::null) {
      into = std::move(from);
    } else if (into.value.kind != from.value.kind) {
      report_.error(from.mark, "'" + from.key + "' is " + std::string(name(from.value.kind)) +
                                   " here and " + std::string(name(into.value.kind)) + " at " +
                                   report_.place(into.mark));
    } else if (into.key != "version" || into.value.text != from.value.text) {
      report_.error(from.mark, "'" + from.key + "' is already set at " + report_.place(into.mark));
    }
  }

  /// A value that meets a list is a list of one.
  static void match_list(Node& value, const Node& other) {
    if (!value.is_scalar() || !other.is_list()) return;
    Node list;
    list.kind = Kind::list;
    list.mark = value.mark;
    list.items.push_back(std::move(value));
    value = std::move(list);
  }

  void merge_map(Entry& into, Entry from) {
    Known& known = known_[into.key];
    if (known.empty()) note(into.value.entries, 0, known);
    const std::size_t before = into.value.entries.size();
    for (Entry& entry : from.value.entries) {
      const auto first = known.find(entry.key);
      if (first == known.end()) {
        into.value.entries.push_back(std::move(entry));
        continue;
      }
      report_.error(entry.mark, "'" + entry.key + "' in '" + into.key + "' is already set at " +
                                    report_.place(first->second));
    }
    note(into.value.entries, before, known);
  }

  using Known = std::unordered_map<std::string, Mark>;

  static void note(const std::vector<Entry>& entries, std::size_t from, Known& known) {
    for (std::size_t i = from; i < entries.size(); ++i)
      known.emplace(entries[i].key, entries[i].mark);
  }

  void includes(const Node& include, const fs::path& directory) {
    if (include.kind == Kind::null) return;
    if (include.is_scalar()) return one_include(include, directory);
    if (!include.is_list()) return unread(include.mark, "expected a list of files to include");
    for (const Node& item : include.items) one_include(item, directory);
  }

  void one_include(const Node& item, const fs::path& directory) {
    if (item.wrong) {
      tree_.whole = false;
      return;
    }
    if (!item.is_scalar() || item.text.empty())
      return unread(item.mark, "expected the path of a file to include");
    if (open_.size() >= limits_.includes) {
      return unread(item.mark,
                    "included deeper than " + std::to_string(limits_.includes) + " files");
    }
    if (!has_wildcard(item.text)) return included((directory / item.text).string(), item);
    const MatchingFiles found = matching_files(directory, item.text);
    if (!found.unread.empty())
      unread(item.mark, "cannot read " + shown(item, found.unread) + ": " + found.problem);
    else if (found.paths.empty())
      report_.warning(item.mark, "no file matches " + Reader::shown(item));
    for (const std::string& path : found.paths) included(path, item);
  }

  void included(const std::string& path, const Node& from) {
    const std::string id = identity(path);
    if (std::find(open_.begin(), open_.end(), id) != open_.end()) {
      report_.error(from.mark, shown(from, path) + " includes itself");
    } else if (seen_.count(id) != 0) {
      report_.error(from.mark, shown(from, path) + " is included twice");
    } else if (tree_.files.size() >= limits_.files) {
      unread(from.mark, "more than " + std::to_string(limits_.files) + " files");
    } else {
      file(path, &from);
    }
  }

  Report& report_;
  const ReadLimits& limits_;
  Tree tree_;
  Spent spent_;
  std::set<std::string> seen_;
  std::unordered_map<std::string, std::size_t> sections_;  // where each is among those of the root
  std::map<std::string, Known> known_;  // what is set, and where, in sections of several files
  std::vector<std::string> open_;       // the chain of files being read
};

}  // namespace

Tree load_tree(const std::string& path, Report& report, const ReadLimits& limits) {
  Loader loader(report, limits);
  loader.file(path, nullptr);
  return loader.take();
}

Tree parse_tree(std::string_view text, const std::string& name, Report& report,
                const ReadLimits& limits) {
  Loader loader(report, limits);
  loader.text(std::string(text), name, {});
  return loader.take();
}

}  // namespace revproxyd::config
