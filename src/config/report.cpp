#include "revproxyd/config/report.h"

#include <algorithm>
#include <utility>

#include "revproxyd/config/place.h"

namespace revproxyd::config {

namespace {

/// Characters of a line that are shown; the window follows the place.
constexpr std::size_t kShown = 120;

/// Bytes of a text whose characters are counted together, so that a place far along a line, as in a
/// file of one line, costs no more than one in front.
constexpr std::size_t kBlock = 1024;

bool continues(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::size_t characters(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

/// The part of `line` to show around `at`, which then counts from the start of that part.
std::string_view window(std::string_view line, std::size_t& at) {
  if (line.size() <= kShown) return line;
  std::size_t begin = at > kShown / 2 ? at - kShown / 2 : 0;
  while (begin > 0 && begin < line.size() && continues(line[begin])) --begin;
  std::size_t end = std::min(line.size(), begin + kShown);
  while (end < line.size() && continues(line[end])) ++end;
  at -= std::min(at, begin);
  return line.substr(begin, end - begin);
}

std::string count_of(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " more " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace

std::uint32_t Report::add_source(std::string name, std::string text, std::string directory) {
  Source source;
  source.lines.push_back(0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') source.lines.push_back(i + 1);
  }
  for (std::size_t at = 0, count = 0; at <= text.size(); at += kBlock) {
    source.characters.push_back(count);
    count += characters(std::string_view(text).substr(at, kBlock));
  }
  source.name = std::move(name);
  source.text = std::move(text);
  source.directory = std::move(directory);
  sources_.push_back(std::move(source));
  return static_cast<std::uint32_t>(sources_.size() - 1);
}

std::size_t Report::Source::characters_before(std::size_t at) const noexcept {
  const std::size_t block = at / kBlock;
  const std::string_view rest = std::string_view(text).substr(block * kBlock);
  return characters[block] + config::characters(rest.substr(0, at % kBlock));
}

void Report::error(const Mark& mark, std::string message, std::string hint) {
  add({Severity::error, true, mark, std::move(message), std::move(hint)});
}

void Report::warning(const Mark& mark, std::string message, std::string hint) {
  add({Severity::warning, true, mark, std::move(message), std::move(hint)});
}

void Report::error(std::string message, std::string hint) {
  add({Severity::error, false, {}, std::move(message), std::move(hint)});
}

void Report::add(Diagnostic diagnostic) {
  std::size_t& count = diagnostic.severity == Severity::error ? errors_ : warnings_;
  if (++count <= kKept) diagnostics_.push_back(std::move(diagnostic));
}

std::string_view Report::line(const Mark& mark) const {
  if (mark.source >= sources_.size()) return {};
  const Source& source = sources_[mark.source];
  if (mark.line == 0 || mark.line > source.lines.size()) return {};
  const std::size_t begin = source.lines[mark.line - 1];
  const std::size_t end =
      mark.line < source.lines.size() ? source.lines[mark.line] - 1 : source.text.size();
  std::string_view text = std::string_view(source.text).substr(begin, end - begin);
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  return text;
}

std::string Report::place(const Mark& mark) const {
  if (mark.source >= sources_.size()) return {};
  const Source& source = sources_[mark.source];
  if (mark.line == 0) return source.name;
  std::size_t column = 1;
  if (const std::string_view whole = line(mark); !whole.empty() && mark.column > 1) {
    const auto begin = static_cast<std::size_t>(whole.data() - source.text.data());
    const std::size_t at = begin + std::min<std::size_t>(mark.column - 1, whole.size());
    column += source.characters_before(at) - source.characters_before(begin);
  }
  return source.name + ":" + std::to_string(mark.line) + ":" + std::to_string(column);
}

void Report::print(const Diagnostic& diagnostic, std::string& out) const {
  const bool placed = diagnostic.placed && diagnostic.mark.source < sources_.size();
  const Finding finding{{placed ? place(diagnostic.mark) : std::string()}, diagnostic.message};
  out += said(finding, diagnostic.severity == Severity::error ? "error" : "warning");
  if (!placed || diagnostic.mark.line == 0) {
    if (!diagnostic.hint.empty()) out += "; " + printable(diagnostic.hint);
    out += '\n';
    return;
  }
  const std::string_view whole = line(diagnostic.mark);
  std::size_t at =
      std::min<std::size_t>(diagnostic.mark.column - (diagnostic.mark.column > 0), whole.size());
  const std::string_view shown = window(whole, at);
  const std::string number = std::to_string(diagnostic.mark.line);
  const std::string gutter(std::max<std::size_t>(5, number.size() + 1), ' ');
  const std::size_t width =
      std::max<std::size_t>(1, characters(shown.substr(at, diagnostic.mark.width)));
  out += '\n' + gutter.substr(number.size()) + number + " | " + printable(shown) + '\n';
  out += gutter + " | " + std::string(characters(shown.substr(0, at)), ' ') + '^' +
         std::string(width - 1, '~');
  if (!diagnostic.hint.empty()) out += "  " + printable(diagnostic.hint);
  out += '\n';
}

std::string Report::text() const {
  std::vector<const Diagnostic*> order;
  std::size_t printed_errors = 0;
  std::size_t printed_warnings = 0;
  for (const Diagnostic& diagnostic : diagnostics_) {
    std::size_t& printed =
        diagnostic.severity == Severity::error ? printed_errors : printed_warnings;
    if (printed == kPrinted) continue;
    ++printed;
    order.push_back(&diagnostic);
  }
  std::stable_sort(order.begin(), order.end(), [](const Diagnostic* a, const Diagnostic* b) {
    if (a->placed != b->placed) return !a->placed;
    if (a->mark.source != b->mark.source) return a->mark.source < b->mark.source;
    if (a->mark.line != b->mark.line) return a->mark.line < b->mark.line;
    return a->mark.column < b->mark.column;
  });
  std::string out;
  for (const Diagnostic* diagnostic : order) print(*diagnostic, out);
  if (errors_ > printed_errors) out += "and " + count_of(errors_ - printed_errors, "error") + '\n';
  if (warnings_ > printed_warnings)
    out += "and " + count_of(warnings_ - printed_warnings, "warning") + '\n';
  return out;
}

}  // namespace revproxyd::config
