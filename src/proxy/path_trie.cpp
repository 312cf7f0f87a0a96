#include "proxy/path_trie.h"

namespace revproxyd::proxy {

void PathTrie::add(Node root, const PathPattern& path, std::uint32_t rank) {
  const bool glob = path.kind == PathKind::glob;
  std::string_view rest = path.text;
  bool prefix = path.kind == PathKind::prefix;
  if (glob && rest.ends_with("/**")) {
    rest.remove_suffix(3);
    prefix = true;
  }
  Node node = root;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    if (glob && segment == "*") {
      if (entries_[node].star == NameTable::kNone) {
        const Node star = add_node();
        entries_[node].star = star;
      }
      node = entries_[node].star;
    } else {
      node = child(node, segment);
    }
  }
  (prefix ? built_[node].prefix : built_[node].exact).push_back(rank);
}

void PathTrie::freeze() {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    entry.begin = static_cast<std::uint32_t>(ranks_.size());
    ranks_.insert(ranks_.end(), built_[i].exact.begin(), built_[i].exact.end());
    entry.prefix = static_cast<std::uint32_t>(ranks_.size());
    ranks_.insert(ranks_.end(), built_[i].prefix.begin(), built_[i].prefix.end());
    entry.end = static_cast<std::uint32_t>(ranks_.size());
  }
  built_ = {};
}

PathTrie::Node PathTrie::add_node() {
  entries_.emplace_back();
  built_.emplace_back();
  return static_cast<Node>(entries_.size() - 1);
}

PathTrie::Node PathTrie::child(Node parent, std::string_view segment) {
  if (const Node known = children_.find(parent, segment); known != NameTable::kNone) return known;
  entries_[parent].has_children = true;
  return children_.insert(parent, segment, add_node());
}

}  // namespace revproxyd::proxy
