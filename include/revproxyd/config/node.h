#pragma once
// The tree that a configuration file says, with the place of everything in it. Knows YAML's shape,
// no setting.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace revproxyd::config {

/// A place in a file that a Report holds. Lines and columns count from 1, columns in bytes.
struct Mark {
  std::uint32_t source = 0;  // what Report::add_source() gave
  std::uint32_t line = 0;    // 0 = the file as a whole
  std::uint32_t column = 0;
  std::uint32_t width = 1;  // bytes to underline
  bool operator==(const Mark&) const = default;
};

enum class Kind : std::uint8_t { null, scalar, list, map };

struct Entry;

/// A value. Aliases are expanded and `${...}` is replaced by the time anyone reads it.
struct Node {
  Kind kind = Kind::null;
  bool quoted = false;
  bool secret = false;  // the text came, wholly or in part, from ${...}: never show it
  bool wrong = false;   // what is wrong with the text was reported: nothing more is to be said
  Mark mark;
  std::string text;            // of a scalar
  std::vector<Node> items;     // of a list
  std::vector<Entry> entries;  // of a map, in file order, keys unique

  bool is_scalar() const noexcept { return kind == Kind::scalar; }
  bool is_list() const noexcept { return kind == Kind::list; }
  bool is_map() const noexcept { return kind == Kind::map; }
  /// The value under `key`, null if there is none or this is no map.
  const Node* find(std::string_view key) const noexcept;
};

/// One key of a map with its value.
struct Entry {
  std::string key;
  Mark mark;
  Node value;
};

/// "a scalar", "a list", "a map", "nothing", for messages.
std::string_view name(Kind kind) noexcept;

}  // namespace revproxyd::config
