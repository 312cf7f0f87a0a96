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
  Expander(const ReadLimits& limits, Spent& spent, Report& report, std::set<std::string>& secrets)
      : limits_(limits), spent_(spent), report_(report), secrets_(secrets) {}

  void walk(Node& node) {
    if (node.is_scalar() && node.text.find("${") != std::string::npos) {
      places_begin(node);
      node.wrong = full_;  // and nothing more is read
      if (!full_) scalar(node);
    }
    for (Node& item : node.items) walk(item);
    for (Entry& entry : node.entries) walk(entry.value);
  }

 private:
  /// Where a text is written as it reads, each byte of it has a place; in others (escapes, several
  /// lines) only the value has.
  void places_begin(const Node& node) {
    const std::string_view line = report_.line(node.mark);
    const std::size_t at = node.mark.column - 1 + (node.quoted ? 1 : 0);
    literal_ = at <= line.size() && line.substr(at).starts_with(node.text);
    begin_ = node.mark;
    if (literal_) begin_.column = static_cast<std::uint32_t>(at + 1);
  }
  Mark place(std::size_t at, std::size_t width) const {
    Mark mark = begin_;
    if (!literal_) return mark;
    mark.column += static_cast<std::uint32_t>(at);
    mark.width = static_cast<std::uint32_t>(width);
    return mark;
  }

  /// Goes on behind a part that is wrong, so that every one is told.
  void scalar(Node& node) {
    std::string out;
    const std::string_view text = node.text;
    std::size_t done = 0;
    for (std::size_t at; (at = text.find("${", done)) != std::string_view::npos;) {
      if (at > done && text[at - 1] == '$') {  // $${ is a literal ${
        out.append(text.substr(done, at - 1 - done)).append("${");
        done = at + 2;
        continue;
      }
      out.append(text.substr(done, at - done));
      const std::size_t end = text.find('}', at);
      node.secret = true;
      if (end == std::string_view::npos) {
        report_.error(place(at, 2), "'${' without '}'", "write $${ for the characters themselves");
        node.wrong = true;
        return;
      }
      const auto value = lookup(place(at, end + 1 - at), text.substr(at + 2, end - at - 2));
      if (!value) node.wrong = true;
      out += value.value_or(std::string());
      full_ = out.size() > spent_.bytes_left(limits_);
      if (full_ || out.size() > limits_.file_bytes) {
        report_.error(node.mark, full_ ? too_large_together(limits_)
                                       : "a value that is too large once ${...} is expanded");
        node.wrong = true;
        return;
      }
      done = end + 1;
    }
    if (node.wrong) return;
    out.append(text.substr(done));
    spent_.bytes += out.size();
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
    const char* value = std::getenv(name.c_str());
    const bool has_default = dash != std::string_view::npos;
    if (has_default && (value == nullptr || *value == '\0'))
      return std::string(inner.substr(dash + 2));
    if (value != nullptr) return std::string(value);
    report_.error(mark, "environment variable '" + name + "' is not set",
                  "give a default with ${env:" + name + ":-...}");
    return std::nullopt;
  }

  std::optional<std::string> file(const Mark& mark, const std::string& path) {
    if (path.front() != '/') {
      report_.error(mark, "${file:" + path + "}: the path must be absolute");
      return std::nullopt;
    }
    RegularFile read = read_text_file(path, limits_.secret_bytes);
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
      RegularFile read =
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
  Spent& spent_;
  Report& report_;
  std::set<std::string>& secrets_;
  Mark begin_;  // of the scalar at hand: its text if literal_, else the value
  bool literal_ = false;
  bool full_ = false;  // what all files may hold
};

}  // namespace

void expand(Node& node, const ReadLimits& limits, Spent& spent, Report& report,
            std::set<std::string>& secrets) {
  Expander(limits, spent, report, secrets).walk(node);
}

}  // namespace revproxyd::config
