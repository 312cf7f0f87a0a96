#pragma once
// What is wrong with a configuration: everything found, each with its place, its line and a hint.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "revproxyd/config/node.h"

namespace revproxyd::config {

enum class Severity : std::uint8_t { error, warning };

struct Diagnostic {
  Severity severity = Severity::error;
  bool placed = false;  // mark is meaningful
  Mark mark;
  std::string message;  // lower case, no full stop
  std::string hint;     // printed behind the underline; may be empty
};

/// Collects diagnostics and prints them the way compilers do. Holds the text of the files it
/// quotes.
class Report {
 public:
  /// At most this many errors, and as many warnings, are printed; the rest is a number.
  static constexpr std::size_t kPrinted = 20;
  /// At most this many of each are kept at all.
  static constexpr std::size_t kKept = 1000;

  /// Takes the text of a file; the number goes into Mark::source. `name` is how messages call the
  /// file, `directory` where the relative paths in it begin.
  std::uint32_t add_source(std::string name, std::string text, std::string directory = {});
  const std::string& source_name(std::uint32_t source) const { return sources_[source].name; }
  const std::string& source_directory(std::uint32_t source) const {
    return sources_[source].directory;
  }

  void error(const Mark& mark, std::string message, std::string hint = {});
  void warning(const Mark& mark, std::string message, std::string hint = {});
  /// About no place in a file, for instance a file that cannot be opened.
  void error(std::string message, std::string hint = {});

  bool ok() const noexcept { return errors_ == 0; }
  std::size_t errors() const noexcept { return errors_; }
  std::size_t warnings() const noexcept { return warnings_; }
  /// In the order in which they were found.
  const std::vector<Diagnostic>& diagnostics() const noexcept { return diagnostics_; }

  /// "proxy.yaml:41:7"; columns count characters.
  std::string place(const Mark& mark) const;
  /// The line that `mark` is in, without its end; empty if there is none. Valid as long as the
  /// report.
  std::string_view line(const Mark& mark) const;
  /// All of it in the order of the files' lines, errors before the summary of what was left out;
  /// empty if there is nothing.
  std::string text() const;

 private:
  struct Source {
    std::string name;
    std::string text;
    std::string directory;
    std::vector<std::size_t> lines;       // where each begins
    std::vector<std::size_t> characters;  // before each block of the text

    std::size_t characters_before(std::size_t at) const noexcept;
  };
  void add(Diagnostic diagnostic);
  void print(const Diagnostic& diagnostic, std::string& out) const;

  std::vector<Source> sources_;
  std::vector<Diagnostic> diagnostics_;
  std::size_t errors_ = 0;
  std::size_t warnings_ = 0;
};

}  // namespace revproxyd::config
