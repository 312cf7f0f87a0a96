#pragma once
// A line of the JSON access log.

#include <map>
#include <string>
#include <string_view>

namespace revproxyd::testing {

class AccessEntry {
 public:
  /// Throws when the line is not one flat JSON object of texts and numbers.
  explicit AccessEntry(std::string_view line);

  bool has(const std::string& name) const {
    return texts_.contains(name) || numbers_.contains(name);
  }
  bool is_text(const std::string& name) const { return texts_.contains(name); }
  bool is_number(const std::string& name) const { return numbers_.contains(name); }
  /// Empty when there is no such text.
  std::string text(const std::string& name) const;
  /// Throws when there is no such number.
  double number(const std::string& name) const;

  int status() const { return static_cast<int>(number("status")); }
  std::string why() const { return text("why"); }
  std::string path() const { return text("path"); }
  const std::string& line() const noexcept { return line_; }

 private:
  std::string line_;
  std::map<std::string, std::string> texts_;
  std::map<std::string, double> numbers_;
};

}  // namespace revproxyd::testing
