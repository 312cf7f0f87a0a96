#include "config/expand.h"

#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "config/text_file.h"
#include "revproxyd/config/suggest.h"

namespace revproxyd::config {

namespace {

/// Expands the scalars of one tree.
class Expander {
 public:
  Expander(const ReadLimits& limits, Report& report, std::set<std::string>& secrets)
      : limits_(limits), report_(report), secrets_(secrets) {}

  void walk(Node& node) {
    if (node.is_scalar() && node.text.find("${") != std::string::npos) scalar(node);
    for (Node& item : node.items) walk(item);
    for (Entry& entry : node.entries) walk(entry.value);
  }

 private:
  void scalar(Node& node) {
    std::string out;
    std::string_view rest = node.text;
    while (!rest.empty()) {
      const std::size_t at = rest.find("${");
      if (at == std::string_view::npos) break;
      if (at > 0 && rest[at - 1] == '$') {  // $${ is a literal ${
        out.append(rest.substr(0, at - 1)).append("${");
        rest.remove_prefix(at + 2);
        continue;
      }
      out.append(rest.substr(0, at));
      const std::size_t end = rest.find('}', at);
      if (end == std::string_view::npos) {
        report_.error(node.mark, "'${' without '}'", "write $${ for the characters themselves");
        return;
      }
      node.secret = true;
      const std::optional<std::string> value = lookup(node.mark, rest.substr(at + 2, end - at - 2));
      if (!value) return;
      out += *value;
      if (out.size() > limits_.file_bytes) {
        report_.error(node.mark, "a value that is too large once ${...} is expanded");
        return;
      }
      rest.remove_prefix(end + 1);
    }
    out.append(rest);
    node.text = std::move(out);
    if (node.secret && !node.text.empty()) secrets_.insert(node.text);
  }

  std::optional<std::string> lookup(const Mark& mark, std::string_view inner) {
    const std::size_t colon = inner.find(':');
    const std::string_view kind = inner.substr(0, colon);
    const std::string_view name =
        colon == std::string_view::npos ? std::string_view() : inner.substr(colon + 1);
    if (colon != std::string_view::npos && !name.empty()) {
      if (kind == "env") return environment(mark, name);
      if (kind == "file") return file(mark, std::string(name));
      if (kind == "credential") return credential(mark, name);
    }
    std::string hint = did_you_mean(kind, {"env", "file", "credential"});
    if (hint.empty()) hint = "write $${ for the characters themselves";
    report_.error(mark, "expected ${env:NAME}, ${file:/path} or ${credential:name}",
                  std::move(hint));
    return std::nullopt;
  }

  std::optional<std::string> environment(const Mark& mark, std::string_view inner) {
    const std::size_t dash = inner.find(":-");
    const std::string name(inner.substr(0, dash));
    if (const char* value = std::getenv(name.c_str()); value != nullptr) return std::string(value);
    if (dash != std::string_view::npos) return std::string(inner.substr(dash + 2));
    report_.error(mark, "environment variable '" + name + "' is not set",
                  "give a default with ${env:" + name + ":-...}");
    return std::nullopt;
  }

  std::optional<std::string> file(const Mark& mark, const std::string& path) {
    if (path.front() != '/') {
      report_.error(mark, "${file:" + path + "}: the path must be absolute");
      return std::nullopt;
    }
    TextFile read = read_text_file(path, limits_.secret_bytes);
    if (!read.ok) {
      report_.error(mark, "cannot read " + path + ": " + read.problem);
      return std::nullopt;
    }
    if (read.world_readable)
      report_.warning(mark, path + " can be read by every user", "chmod o-r " + path);
    if (!read.text.empty() && read.text.back() == '\n') read.text.pop_back();
    if (!read.text.empty() && read.text.back() == '\r') read.text.pop_back();
    return std::move(read.text);
  }

  std::optional<std::string> credential(const Mark& mark, std::string_view name) {
    const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
    if (name.find('/') != std::string_view::npos || name == "." || name == "..") {
      report_.error(mark, "the name of a credential has no '/'");
    } else if (directory == nullptr || *directory != '/') {
      report_.error(mark, "no credentials: CREDENTIALS_DIRECTORY is not set",
                    "add LoadCredential= to the systemd unit");
    } else {
      TextFile read =
          read_text_file(std::string(directory) + "/" + std::string(name), limits_.secret_bytes);
      if (read.ok) {
        if (!read.text.empty() && read.text.back() == '\n') read.text.pop_back();
        return std::move(read.text);
      }
      report_.error(mark, "cannot read credential '" + std::string(name) + "': " + read.problem);
    }
    return std::nullopt;
  }

  const ReadLimits& limits_;
  Report& report_;
  std::set<std::string>& secrets_;
};

}  // namespace

void expand(Node& node, const ReadLimits& limits, Report& report, std::set<std::string>& secrets) {
  Expander(limits, report, secrets).walk(node);
}

}  // namespace revproxyd::config
