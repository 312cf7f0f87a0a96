#include "revproxyd/filters/settings.h"

#include <set>

#include "filters/field_edits.h"
#include "filters/path_rewrite.h"
#include "revproxyd/base/ascii.h"
#include "revproxyd/config/record.h"
#include "revproxyd/config/scalars.h"
#include "revproxyd/filters/settings_types.h"

namespace revproxyd::filters {

namespace {

using config::Node;
using config::Reader;
using config::Record;
using config::Value;
using Pairs = std::vector<std::pair<std::string, std::string>>;

// Fields that the proxy writes itself, or that would change what it does, are not for an operator
// to edit. Host has a message of its own.
config::Type<std::string> edited_name() {
  config::Type<std::string> type = config::field_name();
  type.read = [read = type.read](Reader& reader, const Node& node, std::string& out) {
    if (!read(reader, node, out)) return false;
    if (editable(out) || ascii::iequals(out, "host")) return true;
    return reader.error(node, Reader::shown(node) + " is not for editing",
                        "the proxy itself decides about this field");
  };
  return type;
}

// One value or several to a name.
config::Type<Pairs> fields_named(const config::Type<std::string>& name) {
  const auto values = config::list(config::field_value(), {"header values", true});
  const auto map = config::named(name, values, "headers");
  config::Type<Pairs> type;
  type.schema = map.schema;
  type.read = [map](Reader& reader, const Node& node, Pairs& out) {
    std::vector<std::pair<std::string, std::vector<std::string>>> read;
    if (!map.read(reader, node, read)) return false;
    out.clear();
    for (const auto& [field, texts] : read) {
      for (const std::string& text : texts) out.emplace_back(field, text);
    }
    return true;
  };
  type.write = [](const Pairs& pairs) {
    std::vector<std::pair<std::string, Value>> grouped;
    for (const auto& [field, text] : pairs) {
      auto at = grouped.begin();
      while (at != grouped.end() && at->first != field) ++at;
      if (at == grouped.end()) at = grouped.insert(at, {field, Value::list()});
      at->second.items.push_back(Value::of_text(text));
    }
    return Value::map_of_names(std::move(grouped));
  };
  return type;
}

config::Type<FieldEdits> field_edits() {
  return Record<FieldEdits>()
      .field("set", &FieldEdits::set,
             config::named(edited_name(), config::field_value(), "headers"),
             "Fields that get this value and no other.")
      .field("add", &FieldEdits::add, fields_named(edited_name()),
             "Fields that are added to those that are there.")
      .field("remove", &FieldEdits::remove, config::list(edited_name(), {"header names", true}),
             "Fields that go.")
      .check([](Reader& reader, const Node& node, FieldEdits& edits) {
        std::set<std::string> seen;
        bool good = true;
        for (const auto& pair : edits.set) {
          if (!seen.insert(ascii::lower(pair.first)).second)
            good = reader.error(*node.find("set"),
                                "'" + pair.first + "' is set twice; case does not matter");
        }
        return good;
      })
      .type();
}

bool names_host(const FieldEdits& edits) {
  for (const Pairs* pairs : {&edits.set, &edits.add}) {
    for (const auto& pair : *pairs) {
      if (ascii::iequals(pair.first, "host")) return true;
    }
  }
  for (const std::string& name : edits.remove) {
    if (ascii::iequals(name, "host")) return true;
  }
  return false;
}

std::set<std::string> names(const FieldEdits& edits) {
  std::set<std::string> out;
  for (const auto& pair : edits.set) out.insert(ascii::lower(pair.first));
  for (const auto& pair : edits.add) out.insert(ascii::lower(pair.first));
  for (const std::string& name : edits.remove) out.insert(ascii::lower(name));
  return out;
}

FieldEdits merged(const FieldEdits& global, const FieldEdits& own) {
  const std::set<std::string> taken = names(own);
  const auto free = [&](const std::string& name) { return taken.count(ascii::lower(name)) == 0; };
  FieldEdits out;
  for (const auto& pair : global.set) {
    if (free(pair.first)) out.set.push_back(pair);
  }
  for (const auto& pair : global.add) {
    if (free(pair.first)) out.add.push_back(pair);
  }
  for (const std::string& name : global.remove) {
    if (free(name)) out.remove.push_back(name);
  }
  out.set.insert(out.set.end(), own.set.begin(), own.set.end());
  out.add.insert(out.add.end(), own.add.begin(), own.add.end());
  out.remove.insert(out.remove.end(), own.remove.begin(), own.remove.end());
  return out;
}

// Of a pair of strings, beside their text.
constexpr std::size_t kEachEdit = 2 * sizeof(std::string);

std::size_t bytes_of(const FieldEdits& edits) noexcept {
  std::size_t size = 0;
  for (const auto* pairs : {&edits.set, &edits.add}) {
    for (const auto& [name, value] : *pairs) size += kEachEdit + name.size() + value.size();
  }
  for (const std::string& name : edits.remove) size += kEachEdit + name.size();
  return size;
}

constexpr const char* kInstructions = "instructions of regexes";

// It has been told, and each further one costs time.
bool are_too_many(Reader& reader) { return reader.taken(kInstructions) > kRegexInstructions; }

}  // namespace

bool check_regex(Reader& reader, const Node& node, const std::string& regex) {
  if (are_too_many(reader)) return true;
  std::size_t& instructions = reader.taken(kInstructions);
  const auto compiled = compile_regex(regex);
  if (!compiled->ok())
    return reader.error(node,
                        "invalid regular expression" + Reader::detail(node, compiled->error()));
  instructions += static_cast<std::size_t>(compiled->ProgramSize());
  return instructions <= kRegexInstructions ||
         reader.error(node,
                      "the regular expressions up to here compile to more than " +
                          std::to_string(kRegexInstructions) + " instructions",
                      "counted repetitions like {1,100} and classes like \\pL take many");
}

config::Type<Pairs> fields() { return fields_named(config::field_name()); }

config::Type<HeadersSettings> headers_settings() {
  return Record<HeadersSettings>()
      .field("request", &HeadersSettings::request, field_edits(), "Edits of what the server gets.")
      .field("response", &HeadersSettings::response, field_edits(),
             "Edits of what the client gets.")
      .later({"preset"})
      .check([](Reader& reader, const Node& node, HeadersSettings& headers) {
        if (names_host(headers.response))
          return reader.error(*node.find("response"), "'Host' is no field of a response");
        if (!names_host(headers.request)) return true;
        return reader.error(*node.find("request"), "'Host' is not edited here", "use host_header");
      })
      .type();
}

config::Type<std::string> path_prefix() {
  return config::checked<std::string>(config::text("a path"), [](Reader& reader, const Node& node,
                                                                 const std::string& path) {
    std::string hint;
    if (path.front() != '/')
      hint = "it begins with '/'";
    else if (path.back() == '/')
      hint = "write it without the last '/'";
    else if (path.find_first_of("?#* ") != std::string::npos)
      hint = "no blank and none of ? # * may be in it";
    else if (path.find("//") != std::string::npos || path.find("/./") != std::string::npos ||
             path.find("/..") != std::string::npos || path.ends_with("/."))
      hint = "it is normalised: no '//' and no dot segments";
    else if (!rewrite_problem({.strip_prefix = path}).empty())
      hint = "no path holds a backslash, an escaped control character or a bad escape";
    for (char c : path) {
      if (static_cast<unsigned char>(c) >= 0x7F) hint = "encode letters beyond ASCII";
    }
    return hint.empty() || reader.error(node, Reader::shown(node) + " is not the prefix of a path",
                                        std::move(hint));
  });
}

config::Type<RewriteSettings> rewrite_settings() {
  return Record<RewriteSettings>()
      .field("regex", &RewriteSettings::regex, config::text("a regular expression"),
             "RE2, searched in the normalised path.")
      .required()
      .field("to", &RewriteSettings::to, config::text("a path"),
             "What replaces the whole path where the regex matches; \\1 to \\9 are groups.")
      .required()
      .check([](Reader& reader, const Node& node, RewriteSettings& rewrite) {
        const Node& regex = *node.find("regex");
        const Node& to = *node.find("to");
        if (!check_regex(reader, regex, rewrite.regex)) return false;
        if (are_too_many(reader)) return true;
        if (const std::string problem = rewrite_problem(rewrite); !problem.empty())
          return reader.error(to, "invalid replacement" + Reader::detail(to, problem));
        return true;
      })
      .type();
}

HeadersSettings merged(const HeadersSettings& global, const HeadersSettings& own) {
  HeadersSettings out;
  out.request = merged(global.request, own.request);
  out.response = merged(global.response, own.response);
  return out;
}

std::size_t bytes_of(const HeadersSettings& headers) noexcept {
  return bytes_of(headers.request) + bytes_of(headers.response);
}

}  // namespace revproxyd::filters
