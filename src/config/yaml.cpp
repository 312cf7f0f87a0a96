#include "config/yaml.h"

#include <algorithm>
#include <exception>
#include <istream>
#include <optional>
#include <streambuf>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "config/yaml_text.h"

namespace revproxyd::config {

namespace {

/// Ends the parse when a cap is reached; what to say was reported already.
class Stop : public std::exception {};

/// A stream over a text that is not copied.
class View : public std::streambuf {
 public:
  explicit View(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // the get area is only read
    setg(begin, begin, begin + text.size());
  }
};

/// What a copy of `node` takes.
Spent size_of(const Node& node) {
  Spent size{1, node.text.size()};
  const auto add = [&](const Node& part) {
    const Spent inner = size_of(part);
    size.nodes += inner.nodes;
    size.bytes += inner.bytes;
  };
  for (const Node& item : node.items) add(item);
  for (const Entry& entry : node.entries) {
    size.bytes += entry.key.size();
    add(entry.value);
  }
  return size;
}

std::size_t depth_of(const Node& node) {
  std::size_t depth = 0;
  for (const Node& item : node.items) depth = std::max(depth, depth_of(item));
  for (const Entry& entry : node.entries) depth = std::max(depth, depth_of(entry.value));
  return depth + (node.is_list() || node.is_map() ? 1 : 0);
}

/// Builds the tree from the library's events, so that a hostile file costs no more than the caps
/// allow.
class Builder : public YAML::EventHandler {
 public:
  Builder(std::string_view text, std::uint32_t source, const ReadLimits& limits, Spent& spent,
          Report& report)
      : text_(text), source_(source), limits_(limits), spent_(spent), report_(report) {}

  Node take() { return std::move(root_); }

  /// Reports what the library refused; an open bracket is named, since the place where the library
  /// noticed can be far behind it.
  void refused(const YAML::Exception& failure) {
    const std::size_t at = offset(failure.mark);
    const std::string said = "not valid YAML: " + explain_refusal(failure.msg, text_, at);
    if (failure.mark.is_null()) return report_.error(Mark{source_, 0, 0, 0}, said);
    if (stack_.empty() || !stack_.back().flow()) return report_.error(place(failure.mark), said);
    const Mark& begun = stack_.back().node.mark;
    const std::string opening = std::string("'") + stack_.back().first + "'";
    if (text_.find_first_not_of(" \t\r\n", at) == std::string::npos)
      report_.error(begun, opening + " is never closed");
    else
      report_.error(place(failure.mark), said, "the " + opening + " is at " + report_.place(begun));
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) stop(place(mark), "a second document; a file holds one");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.mark = place_of_null(mark);
    finish(std::move(node), anchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node;
    node.kind = Kind::scalar;
    node.quoted = tag == "!";
    node.mark = place(mark, value.size() + (node.quoted ? 2 : 0));
    node.text = node.quoted ? whole_characters(value) : value;
    refuse_tag(node.mark, tag);
    if (node.quoted && unclosed_quote(text_, offset(mark)))
      stop(place(mark), "a quote that is never closed");
    finish(std::move(node), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) stop(place(mark), "an alias to something that it is part of");
    const Anchored& target = found->second;
    if (stack_.size() + target.depth > limits_.depth) stop_at_depth(place(mark));
    spend(target.size, place(mark));
    --spent_.nodes;  // finish() counts the topmost
    finish(Node(target.node), 0);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Anchored {
    Node node;
    Spent size;
    std::size_t depth;
  };
  struct Level {
    Node node;
    YAML::anchor_t anchor = 0;
    std::size_t offset = 0;                // of its first byte
    std::size_t dash_line = 0;             // of a block list: where the line of the last dash that
    std::uint32_t dash_line_number = 0;    // was looked for begins, and its number
    char first = '\0';                     // that byte: '[' and '{' are to be closed
    std::optional<Entry> entry;            // a key that waits for its value
    bool dropped = false;                  // the value that comes belongs to a refused key
    std::unordered_set<std::string> keys;  // of a map

    bool flow() const noexcept { return first == '[' || first == '{'; }
  };

  std::size_t offset(const YAML::Mark& mark) const {
    return std::min<std::size_t>(static_cast<std::size_t>(std::max(mark.pos, 0)), text_.size());
  }
  /// The library puts what was left out where the next thing begins; a reader looks for it at the
  /// key or the dash.
  Mark place_of_null(const YAML::Mark& mark) {
    if (stack_.empty() || says_null(text_, offset(mark))) return place(mark);
    Level& level = stack_.back();
    if (level.entry) return level.entry->mark;
    if (!level.node.is_list() || level.first != '-') return place(mark);
    // From the last one on, so that many empty items cost no more than the text is long.
    const std::string_view rest = text_.substr(level.dash_line);
    const std::size_t column = level.node.mark.column - 1;
    const auto dash = dash_of_empty_item(rest, offset(mark) - level.dash_line, column);
    if (!dash) return place(mark);
    const std::string_view passed = rest.substr(0, *dash - column);
    level.dash_line += passed.size();
    level.dash_line_number +=
        static_cast<std::uint32_t>(std::count(passed.begin(), passed.end(), '\n'));
    Mark out = level.node.mark;
    out.line = level.dash_line_number;
    return out;
  }

  Mark place(const YAML::Mark& mark, std::size_t width = 1) const {
    return {source_, static_cast<std::uint32_t>(std::max(mark.line, 0) + 1),
            static_cast<std::uint32_t>(std::max(mark.column, 0) + 1),
            static_cast<std::uint32_t>(width)};
  }
  /// The library takes what follows an open bracket on the next lines for a key in it.
  static std::string missing_end(const Level& level) {
    if (!level.flow()) return {};
    return std::string("is its '") + (level.first == '[' ? ']' : '}') + "' missing?";
  }
  [[noreturn]] void stop(const Mark& mark, std::string message, std::string hint = {}) {
    report_.error(mark, std::move(message), std::move(hint));
    throw Stop();
  }
  [[noreturn]] void stop_at_nodes(const Mark& mark) {
    stop(mark, "more than " + std::to_string(limits_.nodes) + " values, aliases expanded");
  }
  /// Counts a copy before it is made.
  void spend(const Spent& size, const Mark& mark) {
    if (size.nodes > limits_.nodes - std::min(spent_.nodes, limits_.nodes)) stop_at_nodes(mark);
    if (size.bytes > spent_.bytes_left(limits_)) stop(mark, too_large_together(limits_));
    spent_.nodes += size.nodes;
    spent_.bytes += size.bytes;
  }
  [[noreturn]] void stop_at_depth(const Mark& mark) {
    stop(mark, "nested deeper than " + std::to_string(limits_.depth) + " levels");
  }
  void refuse_tag(const Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    report_.error(mark, "a YAML tag; types come from the key, tags are not used");
  }

  void open(Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (stack_.size() >= limits_.depth) stop_at_depth(place(mark));
    Level level;
    level.node.kind = kind;
    level.node.mark = place(mark);
    level.anchor = anchor;
    level.offset = offset(mark);
    level.first = level.offset < text_.size() ? text_[level.offset] : '\0';
    level.dash_line =
        level.offset - std::min<std::size_t>(level.offset, level.node.mark.column - 1);
    level.dash_line_number = level.node.mark.line;
    refuse_tag(level.node.mark, tag);
    if (!stack_.empty() && stack_.back().node.is_map() && !stack_.back().entry)
      stop(level.node.mark, "a list or map as a key; keys are words", missing_end(level));
    stack_.push_back(std::move(level));
  }
  void close() {
    Level level = std::move(stack_.back());
    stack_.pop_back();
    finish(std::move(level.node), level.anchor);
  }

  void finish(Node node, YAML::anchor_t anchor) {
    if (++spent_.nodes > limits_.nodes) stop_at_nodes(node.mark);
    if (anchor != 0) remember(node, anchor);
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = stack_.back();
    if (level.node.is_list()) {
      level.node.items.push_back(std::move(node));
    } else if (!level.entry) {
      take_key(level, node);
    } else {
      level.entry->value = std::move(node);
      if (!level.dropped) level.node.entries.push_back(std::move(*level.entry));
      level.entry.reset();
    }
  }
  /// An anchor keeps a copy; copies count, so that many anchors around one another stay within the
  /// caps.
  void remember(const Node& node, YAML::anchor_t anchor) {
    const Spent size = size_of(node);
    spend(size, node.mark);
    anchors_[anchor] = {node, size, depth_of(node)};
  }
  void take_key(Level& level, Node& node) {
    level.dropped = true;
    level.entry.emplace();
    level.entry->mark = node.mark;
    if (!node.is_scalar()) {
      report_.error(node.mark, "a key that is no word");
      return;
    }
    level.entry->key = std::move(node.text);
    const std::string& key = level.entry->key;
    if (key == "<<" && !node.quoted) {
      report_.error(node.mark, "merge keys are not supported",
                    "repeat the keys, or alias a whole value");
    } else if (key.find("${") != std::string::npos) {
      report_.error(node.mark, "${...} is expanded in values only, never in keys");
    } else if (!level.keys.insert(key).second) {
      report_.error(node.mark, "duplicate key '" + key + "'");
    } else {
      level.dropped = false;
    }
  }

  std::string_view text_;
  std::uint32_t source_;
  const ReadLimits& limits_;
  Spent& spent_;
  Report& report_;
  std::size_t documents_ = 0;
  Node root_;
  std::vector<Level> stack_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
};

/// The library queues the tokens of an unfinished `[[[[` before it calls anyone: bound them before
/// it sees the text.
bool check_brackets(std::string_view text, std::uint32_t source, const ReadLimits& limits,
                    Report& report) {
  const auto brackets =
      std::count_if(text.begin(), text.end(), [](char c) { return c == '[' || c == '{'; });
  if (static_cast<std::size_t>(brackets) <= limits.nodes) return true;
  report.error(Mark{source, 0, 0, 0}, "more than " + std::to_string(limits.nodes) + " brackets");
  return false;
}

}  // namespace

bool parse_yaml(std::string_view text, std::uint32_t source, const ReadLimits& limits, Spent& spent,
                Report& report, Node& out) {
  if (!check_text(text, source, report) || !check_brackets(text, source, limits, report))
    return false;
  View view(text);
  std::istream stream(&view);
  Builder builder(text, source, limits, spent, report);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
    return false;
  } catch (const YAML::Exception& failure) {
    builder.refused(failure);
    return false;
  }
  out = builder.take();
  return true;
}

}  // namespace revproxyd::config
