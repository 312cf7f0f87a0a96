#pragma once
// Exact paths, prefixes and globs of all hosts in one trie of path segments; every host has a root
// of its own. Numbers of alternatives hang on the nodes, sorted.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/name_table.h"
#include "revproxyd/proxy/settings.h"

namespace revproxyd::proxy {

class PathTrie {
 public:
  using Node = std::uint32_t;

  Node add_root() { return add_node(); }
  /// `path` is canonical and of kind exact, prefix or glob. Ranks must come in ascending order.
  void add(Node root, const PathPattern& path, std::uint32_t rank);
  /// Ends the building; walk() may be called from here on.
  void freeze();

  /// Calls visit(std::span<const std::uint32_t>) with the ranks of every pattern that takes `path`,
  /// one call a list. Costs one look-up a segment, times the globs that share the beginning of the
  /// path; at most every node of `root` once.
  template <typename Visit>
  void walk(Node root, std::string_view path, const Visit& visit) const {
    if (path.starts_with('/')) descend(root, path, visit);
  }

 private:
  struct Built {
    std::vector<std::uint32_t> exact;
    std::vector<std::uint32_t> prefix;
  };
  struct Entry {
    std::uint32_t begin = 0;  // in ranks_: first the exact ones, then the prefixes
    std::uint32_t prefix = 0;
    std::uint32_t end = 0;
    Node star = NameTable::kNone;
    bool has_children = false;  // besides star
  };

  Node add_node();
  Node child(Node parent, std::string_view segment);
  std::span<const std::uint32_t> ranks(std::uint32_t begin, std::uint32_t end) const noexcept {
    return {ranks_.data() + begin, end - begin};
  }

  // `rest` is what follows the node: empty, or a '/' and more segments. Recursion is as deep as a
  // pattern has stars.
  template <typename Visit>
  void descend(Node node, std::string_view rest, const Visit& visit) const {
    for (;;) {
      const Entry& entry = entries_[node];
      if (entry.prefix != entry.end) visit(ranks(entry.prefix, entry.end));
      if (rest.empty()) {
        if (entry.begin != entry.prefix) visit(ranks(entry.begin, entry.prefix));
        return;
      }
      rest.remove_prefix(1);
      const std::string_view segment = rest.substr(0, rest.find('/'));
      rest.remove_prefix(segment.size());
      if (entry.star != NameTable::kNone && !segment.empty()) descend(entry.star, rest, visit);
      if (!entry.has_children) return;
      node = children_.find(node, segment);
      if (node == NameTable::kNone) return;
    }
  }

  std::vector<Entry> entries_;
  NameTable children_;  // scope: the parent
  std::vector<std::uint32_t> ranks_;
  std::vector<Built> built_;  // until freeze()
};

}  // namespace revproxyd::proxy
