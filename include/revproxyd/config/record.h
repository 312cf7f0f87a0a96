#pragma once
// The description of a settings struct: its keys, each with a Type and a sentence of documentation.

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "revproxyd/config/type.h"

namespace revproxyd::config {

/// A key of a Record without its type; what the untyped half works on.
struct FieldInfo {
  std::string key;
  Value schema;
  bool required = false;
};

/// Opens a record: checks that `node` is a map, that every key is one of `fields` or `later` (an
/// error each that says which), and that the required ones are there. False if nothing can be read
/// from it.
bool check_keys(Reader& reader, const Node& node, const std::vector<FieldInfo>& fields,
                const std::vector<std::string>& later);
/// How messages call a record: `label` and the name that the map gives itself.
std::string record_name(std::string_view label, const Node& node);
Value record_schema(const std::vector<FieldInfo>& fields);

template <typename S>
class Record {
 public:
  /// `label` for messages ("listener"); without it a record is called by its key. `defaults` are
  /// what the schema tells.
  explicit Record(std::string label = {}, S defaults = {})
      : label_(std::move(label)), defaults_(std::move(defaults)) {}

  /// `member` is a pointer to member or a captureless lambda that gives a reference, const or not,
  /// as the struct is.
  template <typename Member, typename M>
  Record& field(std::string key, Member member, Type<M> type, std::string_view doc) {
    Value schema =
        with_doc(type.schema, doc, type.write(std::invoke(member, std::as_const(defaults_))));
    infos_.push_back({std::move(key), std::move(schema), false});
    handlers_.push_back(
        {[read = type.read, member](Reader& reader, const Node& node, S& out) {
           return read(reader, node, std::invoke(member, out));
         },
         [write = type.write, member](const S& s) { return write(std::invoke(member, s)); }});
    return *this;
  }
  /// A key whose value needs the whole struct.
  Record& whole(std::string key, Type<S> type, std::string_view doc) {
    infos_.push_back({std::move(key), with_doc(type.schema, doc, Value::none()), false});
    handlers_.push_back({type.read, type.write});
    return *this;
  }
  /// The last field must be given.
  Record& required() {
    infos_.back().required = true;
    return *this;
  }
  /// Keys of features that this version does not have.
  Record& later(std::initializer_list<std::string_view> keys) {
    later_.insert(later_.end(), keys.begin(), keys.end());
    return *this;
  }
  /// Runs when the record has no unknown key, every required one, and all fields were read without
  /// an error.
  Record& check(std::function<bool(Reader&, const Node&, S&)> check) {
    checks_.push_back(std::move(check));
    return *this;
  }

  /// The finished description; the record is used up.
  Type<S> type() {
    Type<S> type;
    type.schema = record_schema(infos_);
    type.write = [handlers = handlers_, infos = infos_](const S& s) {
      Value out = Value::map();
      for (std::size_t i = 0; i < infos.size(); ++i) out.set(infos[i].key, handlers[i].write(s));
      return out;
    };
    type.read = [record = std::move(*this)](Reader& reader, const Node& node, S& out) {
      return record.read(reader, node, out);
    };
    return type;
  }

 private:
  struct Handler {
    Function<bool(Reader&, const Node&, S&)> read;
    Function<Value(const S&)> write;
  };

  static Value with_doc(Value schema, std::string_view doc, Value default_value) {
    schema.set("description", Value::of_text(doc));
    schema.set("default", std::move(default_value));
    return schema;
  }

  bool read(Reader& reader, const Node& node, S& out) const {
    std::optional<Reader::Inside> inside;
    if (!label_.empty()) inside.emplace(reader, record_name(label_, node), true);
    const std::size_t errors_before = reader.report().errors();
    if (!check_keys(reader, node, infos_, later_)) return false;
    bool good = true;
    for (const Entry& entry : node.entries) good = read_entry(reader, entry, out) && good;
    if (!good || reader.report().errors() != errors_before) return false;
    for (const auto& check : checks_) good = check(reader, node, out) && good;
    return good;
  }
  bool read_entry(Reader& reader, const Entry& entry, S& out) const {
    for (std::size_t i = 0; i < infos_.size(); ++i) {
      if (infos_[i].key != entry.key) continue;
      Reader::Inside inside(reader, entry.key, false);
      return handlers_[i].read(reader, entry.value, out);
    }
    return true;  // reported by check_keys
  }

  std::string label_;
  S defaults_;
  std::vector<FieldInfo> infos_;
  std::vector<Handler> handlers_;
  std::vector<std::string> later_;
  std::vector<std::function<bool(Reader&, const Node&, S&)>> checks_;
};

}  // namespace revproxyd::config
