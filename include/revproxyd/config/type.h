#pragma once
// How a value is written: one description that reads it, prints it and tells its schema, so that
// these three cannot drift.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "revproxyd/config/node.h"
#include "revproxyd/config/reader.h"
#include "revproxyd/config/value.h"

namespace revproxyd::config {

/// An immutable function that is cheap to copy. Descriptions hold one another many times over;
/// copying what each holds, as std::function does, would double the work at each level.
template <typename Signature>
class Function {
 public:
  Function() = default;
  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Function>) Function(F&& f)
      : held_(std::make_shared<const std::function<Signature>>(std::forward<F>(f))) {
  }  // NOLINT: implicit by design

  template <typename... Args>
  decltype(auto) operator()(Args&&... args) const {
    return (*held_)(std::forward<Args>(args)...);
  }

 private:
  std::shared_ptr<const std::function<Signature>> held_;
};

/// A description is a value: copy it, put it into others.
template <typename T>
struct Type {
  /// Reads over what `T` holds (its default). On a problem it reports and returns false, and the
  /// value is of no use.
  Function<bool(Reader&, const Node&, T&)> read;
  Function<Value(const T&)> write;
  Value schema;  // JSON Schema, draft 7
};

/// {"type": "string", "description": ...} and the like.
Value string_schema(std::string_view description);
/// The same for a text that may look like a number or a truth value.
Value scalar_schema(std::string_view description);
/// ${...}, which may become anything.
Value expansion_schema();
/// The one text `word`, or ${...}, which may become it.
Value word_schema(std::string_view word);
/// A schema that one of `alternatives` satisfies.
Value any_of(std::vector<Value> alternatives);

/// What lists accept.
struct ListRules {
  std::string_view of;    // for messages: "addresses"
  bool scalar = false;    // one value may stand without brackets
  bool required = false;  // an empty list is refused
};

template <typename T>
Type<std::vector<T>> list(Type<T> item, ListRules rules) {
  Value schema = Value::map({{"type", Value::of_text("array")}, {"items", item.schema}});
  if (rules.required) schema.set("minItems", Value::of_number(1));
  Type<std::vector<T>> type;
  type.schema = rules.scalar ? any_of({item.schema, schema}) : schema;
  type.read = [read = item.read, rules](Reader& reader, const Node& node, std::vector<T>& out) {
    std::vector<T> values;
    bool good = true;
    auto take = [&](const Node& one) {
      T value{};
      good = read(reader, one, value) && good;
      values.push_back(std::move(value));  // a bad one too: indexes stay those of the file
    };
    if (rules.scalar && node.is_scalar()) {
      take(node);
    } else {
      if (!reader.expect_list(node, "a list of " + std::string(rules.of))) return false;
      if (rules.required && node.items.empty())
        return reader.error(node, "an empty list of " + std::string(rules.of));
      values.reserve(node.items.size());
      for (const Node& one : node.items) take(one);
    }
    out = std::move(values);
    return good;
  };
  type.write = [write = item.write](const std::vector<T>& values) {
    Value out = Value::list();
    for (const T& value : values) out.items.push_back(write(value));
    return out;
  };
  return type;
}

/// Absent when it has no value.
template <typename T>
Type<std::optional<T>> optional(Type<T> inner) {
  Type<std::optional<T>> type;
  type.schema = inner.schema;
  type.read = [read = inner.read](Reader& reader, const Node& node, std::optional<T>& out) {
    T value{};
    if (!read(reader, node, value)) return false;
    out = std::move(value);
    return true;
  };
  type.write = [write = inner.write](const std::optional<T>& value) {
    return value ? write(*value) : Value::none();
  };
  return type;
}

/// A further condition on what `inner` reads; `check` reports and returns false to refuse.
template <typename T>
Type<T> checked(Type<T> inner, std::function<bool(Reader&, const Node&, const T&)> check) {
  Type<T> type = inner;
  type.read = [read = inner.read, check](Reader& reader, const Node& node, T& out) {
    return read(reader, node, out) && check(reader, node, out);
  };
  return type;
}

/// A map whose keys are names, into pairs in file order. `key` gets a node that holds the name.
template <typename T>
Type<std::vector<std::pair<std::string, T>>> named(Type<std::string> key, Type<T> inner,
                                                   std::string_view of) {
  using Pairs = std::vector<std::pair<std::string, T>>;
  Type<Pairs> type;
  type.schema =
      Value::map({{"type", Value::of_text("object")}, {"additionalProperties", inner.schema}});
  type.read = [read_key = key.read, read = inner.read, of](Reader& reader, const Node& node,
                                                           Pairs& out) {
    if (!reader.expect_map(node, "a map of " + std::string(of))) return false;
    Pairs pairs;
    bool good = true;
    for (const Entry& entry : node.entries) {
      Node name_node;
      name_node.kind = Kind::scalar;
      name_node.mark = entry.mark;
      name_node.text = entry.key;
      std::pair<std::string, T> pair;
      const bool named_well = read_key(reader, name_node, pair.first);
      const bool read_well = read(reader, entry.value, pair.second);
      if (named_well && read_well)
        pairs.push_back(std::move(pair));
      else
        good = false;
    }
    out = std::move(pairs);
    return good;
  };
  type.write = [write = inner.write](const Pairs& pairs) {
    Value out = Value::map_of_names();
    for (const auto& [name, value] : pairs) out.set(name, write(value));
    return out;
  };
  return type;
}

}  // namespace revproxyd::config
