#pragma once
// Where in the configuration a reading function is, and how it complains.

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "revproxyd/config/node.h"
#include "revproxyd/config/report.h"

namespace revproxyd::config {

/// Handed down while a tree is read into settings. Not shared between threads.
class Reader {
 public:
  explicit Reader(Report& report) : report_(report) {}

  Report& report() noexcept { return report_; }
  /// Each returns false, so that a reading function can end with it. About a node that is `wrong`
  /// already nothing is added.
  bool error(const Node& node, std::string message, std::string hint = {});
  bool error(const Mark& mark, std::string message, std::string hint = {});
  void warning(const Mark& mark, std::string message, std::string hint = {});

  /// "'text'" for a message, `<redacted>` when the text came from ${...}, the kind when it is no
  /// scalar.
  static std::string shown(const Node& node);
  /// The same of a text that was made from the one of `node`.
  static std::string shown(const Node& node, const std::string& text);
  /// ": `what`" for the end of a message, where `what` quotes from the text; nothing when that came
  /// from ${...}.
  static std::string detail(const Node& node, const std::string& what);
  /// The text of a scalar; otherwise reports "expected `what`" and gives null.
  const std::string* scalar(const Node& node, std::string_view what);
  /// The text of a scalar as a path: a relative one begins at the directory of the file that says
  /// it. What comes of a secret is one.
  std::string path(const Node& node);
  /// The secrets that were made so.
  std::set<std::string> take_secrets() noexcept { return std::move(secrets_); }
  /// What has been taken so far of something that is bounded over the whole configuration, by its
  /// name; nothing at first.
  std::size_t& taken(const std::string& of) { return taken_[of]; }
  bool expect_list(const Node& node, std::string_view what);
  bool expect_map(const Node& node, std::string_view what);

  /// "upstream 'shop'", "health_check of upstream 'shop'", "the top level".
  std::string context() const;

  /// Names what is being read for as long as it lives.
  class Inside {
   public:
    Inside(Reader& reader, std::string label, bool whole);
    ~Inside() { reader_.labels_.pop_back(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Reader& reader_;
  };

 private:
  struct Label {
    std::string text;
    bool whole;  // needs no "of ..." behind it
  };
  Report& report_;
  std::vector<Label> labels_;
  std::set<std::string> secrets_;
  std::map<std::string, std::size_t> taken_;
};

}  // namespace revproxyd::config
