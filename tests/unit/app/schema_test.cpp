// The schema takes what the daemon takes: a judge of the words of JSON Schema that it consists of.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <regex>
#include <string>

#include <gtest/gtest.h>

#include "revproxyd/config/load_tree.h"
#include "tests/unit/app/loading.h"

namespace revproxyd::app {
namespace {

using namespace test;
using config::Node;

/// JSON is YAML.
Node parsed(const std::string& text) {
  config::Report report;
  config::Tree tree = config::parse_tree(text, "json", report);
  EXPECT_TRUE(report.ok()) << report.text();
  return std::move(tree.root);
}

/// As editors see a file: `${...}` stands, and words without quotes may be numbers.
std::string kind_of(const Node& node) {
  if (node.is_map()) return "object";
  if (node.is_list()) return "array";
  if (node.kind == config::Kind::null) return "null";
  static const std::regex kInteger("-?[0-9]+");
  static const std::regex kNumber("-?[0-9]+[.][0-9]+");
  if (node.quoted) return "string";
  if (node.text == "true" || node.text == "false") return "boolean";
  if (std::regex_match(node.text, kInteger)) return "integer";
  return std::regex_match(node.text, kNumber) ? "number" : "string";
}

class Judge {
 public:
  explicit Judge(const Node& root) : root_(root) {}
  bool takes(const Node& schema, const Node& value) const {
    for (const config::Entry& rule : schema.entries) {
      if (!holds_rule(rule.key, rule.value, schema, value)) return false;
    }
    return true;
  }

 private:
  bool holds_rule(const std::string& word, const Node& rule, const Node& schema,
                  const Node& value) const {
    if (word == "$ref") {
      EXPECT_TRUE(rule.text.starts_with("#/definitions/"));
      return takes(*root_.find("definitions")->find(rule.text.substr(14)), value);
    }
    if (word == "type") return rule.is_list() ? any_kind(rule, value) : is_kind(rule, value);
    if (word == "const") return same(rule, value);
    if (word == "enum")
      return std::ranges::any_of(rule.items, [&](const Node& one) { return same(one, value); });
    if (word == "anyOf") return count(rule, value) > 0;
    if (word == "oneOf") return count(rule, value) == 1;
    if (word == "pattern")
      return kind_of(value) != "string" || std::regex_search(value.text, std::regex(rule.text));
    if (word == "minimum" || word == "maximum") return within(word, rule, value);
    if (word == "minItems")
      return !value.is_list() ||
             value.items.size() >= static_cast<std::size_t>(std::atoll(rule.text.c_str()));
    if (word == "items")
      return std::ranges::all_of(value.items, [&](const Node& one) { return takes(rule, one); });
    if (word == "required")
      return !value.is_map() || std::ranges::all_of(rule.items, [&](const Node& one) {
        return value.find(one.text) != nullptr;
      });
    if (word == "properties" || word == "additionalProperties") return members(schema, value);
    constexpr std::array<std::string_view, 6> kNoRules{"$schema",     "title",   "description",
                                                       "definitions", "default", "examples"};
    EXPECT_TRUE(std::ranges::find(kNoRules, word) != kNoRules.end()) << word << " is not judged";
    return true;
  }

  static bool is_kind(const Node& rule, const Node& value) {
    const std::string kind = kind_of(value);
    return rule.text == kind || (rule.text == "number" && kind == "integer");
  }
  static bool any_kind(const Node& rule, const Node& value) {
    return std::ranges::any_of(rule.items, [&](const Node& one) { return is_kind(one, value); });
  }
  static bool same(const Node& one, const Node& value) {
    return value.is_scalar() && kind_of(one) == kind_of(value) && one.text == value.text;
  }
  static bool within(const std::string& word, const Node& rule, const Node& value) {
    if (kind_of(value) != "integer") return true;
    const long long number = std::atoll(value.text.c_str());
    const long long bound = std::atoll(rule.text.c_str());
    return word == "minimum" ? number >= bound : number <= bound;
  }
  long count(const Node& rule, const Node& value) const {
    return std::ranges::count_if(rule.items, [&](const Node& one) { return takes(one, value); });
  }
  bool members(const Node& schema, const Node& value) const {
    const Node* known = schema.find("properties");
    const Node* others = schema.find("additionalProperties");
    return std::ranges::all_of(value.entries, [&](const config::Entry& entry) {
      const Node* rule = known == nullptr ? nullptr : known->find(entry.key);
      if (rule != nullptr) return takes(*rule, entry.value);
      if (others == nullptr) return true;
      return others->is_map() ? takes(*others, entry.value) : others->text == "true";
    });
  }

  const Node& root_;
};

/// ${...} would be expanded, as in a file; what it stands for is not for the schema.
bool schema_takes(const std::string& file) {
  static const Node kSchema = parsed(json_schema());
  std::string text = file;
  for (std::size_t at = 0; (at = text.find("${", at)) != std::string::npos; at += 3)
    text.insert(at, "$");
  return Judge(kSchema).takes(kSchema, parsed(text));
}

std::string with_upstream(const std::string& keys) {
  return std::string(kListener) + "upstreams: { u: { servers: [ { url: http://a } ], " + keys +
         " } }\n" + route("to: u");
}

TEST(Schema, TakesWhatTheDaemonTakes) {
  ::setenv("REVPROXYD_TEST_OFF", "off", 1);
  ::setenv("REVPROXYD_TEST_INTERNAL", "internal", 1);
  const std::string simple = std::string(kListener) + route("to: http://a");
  const std::string files = "certificates: [ { cert: a.pem, key: a.key } ]\n";
  for (const std::string& file :
       {simple, simple + "access_log: \"off\"\n",
        simple + "access_log: '${env:REVPROXYD_TEST_OFF}'\n",
        "tls: '${env:REVPROXYD_TEST_INTERNAL}'\n" + route("to: http://a"),
        "tls:\n" + files + route("to: http://a"), "tls: {}\n" + files + route("to: http://a"),
        "listeners: [ { address: ':1', tls: '${env:REVPROXYD_TEST_INTERNAL}' } ]\n" +
            route("to: http://a"),
        "listeners:\n- address: ':1'\n  tls:\n" + files + route("to: http://a"),
        "listeners: [ { address: ':1', proxy_protocol: {} } ]\n" + route("to: http://a"),
        std::string(kListener) + route("split: [ { to: http://a } ]"),
        std::string(kListener) + route("redirect: { to: /x }"),
        std::string(kListener) + route("respond: {}"),
        with_upstream("retry: { conditions: [connect, reset, 502, '503'] }"),
        with_upstream("retry: { conditions: ['${env:REVPROXYD_TEST_NONE:-reset}'] }")}) {
    const LoadResult loaded = load_text(file, "x");
    EXPECT_TRUE(loaded.ok()) << loaded.report.text();
    EXPECT_TRUE(schema_takes(file)) << file;
  }
}

TEST(Schema, RefusesWhatTheDaemonRefuses) {
  for (const std::string& file :
       {std::string(kListener) + "access_log: on\n" + route("to: http://a"),
        std::string(kListener) + route("host: a"),
        std::string(kListener) + route("to: http://a, respond: {}"),
        std::string(kListener) + route("redirect: { to: /x }, split: [ { to: http://a } ]"),
        "listeners: [ { address: ':1', tls: external } ]\n" + route("to: http://a"),
        with_upstream("retry: { conditions: [connect, refuse] }"),
        with_upstream("retry: { conditions: [200] }"),
        with_upstream("retry: { conditions: [ [ 502 ] ] }")}) {
    EXPECT_FALSE(load_text(file, "x").ok()) << file;
    EXPECT_FALSE(schema_takes(file)) << file;
  }
}

}  // namespace
}  // namespace revproxyd::app
