#include "revproxyd/config/record.h"

#include <algorithm>

#include "revproxyd/config/suggest.h"

namespace revproxyd::config {

Value string_schema(std::string_view description) {
  Value schema = Value::map({{"type", Value::of_text("string")}});
  if (!description.empty()) schema.set("title", Value::of_text(description));
  return schema;
}

Value scalar_schema(std::string_view description) {
  const Value types =
      Value::list({Value::of_text("string"), Value::of_text("number"), Value::of_text("boolean")});
  return Value::map({{"type", types}, {"title", Value::of_text(description)}});
}

Value expansion_schema() {
  return Value::map({{"$ref", Value::of_text("#/definitions/expansion")}});
}

Value word_schema(std::string_view word) {
  return any_of({Value::map({{"const", Value::of_text(word)}}), expansion_schema()});
}

Value any_of(std::vector<Value> alternatives) {
  return Value::map({{"anyOf", Value::list(std::move(alternatives))}});
}

std::string record_name(std::string_view label, const Node& node) {
  const Node* name = node.find("name");
  if (name == nullptr || !name->is_scalar() || name->secret || name->text.size() > 80)
    return std::string(label);
  return std::string(label) + " '" + name->text + "'";
}

bool check_keys(Reader& reader, const Node& node, const std::vector<FieldInfo>& fields,
                const std::vector<std::string>& later) {
  if (!reader.expect_map(node, "a map")) return false;
  for (const Entry& entry : node.entries) {
    const auto is_field = [&](const FieldInfo& field) { return field.key == entry.key; };
    if (std::any_of(fields.begin(), fields.end(), is_field)) continue;
    if (std::find(later.begin(), later.end(), entry.key) != later.end()) {
      reader.error(entry.mark, "'" + entry.key + "' in " + reader.context() +
                                   " is not supported by this version");
      continue;
    }
    std::vector<std::string_view> words;
    for (const FieldInfo& field : fields) words.push_back(field.key);
    reader.error(entry.mark, "unknown key '" + entry.key + "' in " + reader.context(),
                 did_you_mean(entry.key, words));
  }
  for (const FieldInfo& field : fields) {
    if (!field.required || node.find(field.key) != nullptr) continue;
    reader.error(node.mark, "'" + field.key + "' is missing in " + reader.context());
  }
  return true;
}

Value record_schema(const std::vector<FieldInfo>& fields) {
  Value properties = Value::map();
  Value required = Value::list();
  for (const FieldInfo& field : fields) {
    properties.set(field.key, field.schema);
    if (field.required) required.items.push_back(Value::of_text(field.key));
  }
  Value schema = Value::map({{"type", Value::of_text("object")},
                             {"additionalProperties", Value::of_bool(false)},
                             {"properties", std::move(properties)}});
  if (!required.items.empty()) schema.set("required", std::move(required));
  return schema;
}

}  // namespace revproxyd::config
