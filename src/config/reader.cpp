#include "revproxyd/config/reader.h"

#include <filesystem>
#include <utility>

namespace revproxyd::config {

bool Reader::error(const Node& node, std::string message, std::string hint) {
  return !node.wrong && error(node.mark, std::move(message), std::move(hint));
}

bool Reader::error(const Mark& mark, std::string message, std::string hint) {
  report_.error(mark, std::move(message), std::move(hint));
  return false;
}

void Reader::warning(const Mark& mark, std::string message, std::string hint) {
  report_.warning(mark, std::move(message), std::move(hint));
}

std::string Reader::shown(const Node& node) {
  if (!node.is_scalar()) return std::string(name(node.kind));
  if (node.secret) return "<redacted>";
  constexpr std::size_t kShown = 80;
  if (node.text.size() <= kShown) return "'" + node.text + "'";
  return "'" + node.text.substr(0, kShown) + "...'";
}

std::string Reader::shown(const Node& node, const std::string& text) {
  return node.secret ? "<redacted>" : "'" + text + "'";
}

std::string Reader::detail(const Node& node, const std::string& what) {
  return node.secret ? std::string() : ": " + what;
}

const std::string* Reader::scalar(const Node& node, std::string_view what) {
  if (node.wrong) return nullptr;
  if (node.is_scalar()) return &node.text;
  error(node, "expected " + std::string(what) + ", found " + std::string(name(node.kind)) + " in " +
                  context());
  return nullptr;
}

std::string Reader::path(const Node& node) {
  if (node.text.starts_with('/')) return node.text;
  std::filesystem::path whole;
  for (const auto& part :
       std::filesystem::path(report_.source_directory(node.mark.source)) / node.text) {
    if (part != ".") whole /= part;
  }
  if (node.secret) secrets_.insert(whole.string());
  return whole.string();
}

bool Reader::expect_list(const Node& node, std::string_view what) {
  if (node.is_list()) return true;
  return error(
      node, "expected " + std::string(what) + ", found " + shown(node) + " in " + context(),
      node.is_scalar() && !node.secret && node.text.size() < 40 ? "write [" + node.text + "]" : "");
}

bool Reader::expect_map(const Node& node, std::string_view what) {
  if (node.is_map()) return true;
  return error(node,
               "expected " + std::string(what) + ", found " + shown(node) + " in " + context());
}

std::string Reader::context() const {
  std::string out;
  for (std::size_t i = labels_.size(); i-- > 0;) {
    out += (out.empty() ? "" : " of ") + labels_[i].text;
    if (labels_[i].whole) return out;
  }
  return out.empty() ? "the top level" : out;
}

Reader::Inside::Inside(Reader& reader, std::string label, bool whole) : reader_(reader) {
  reader.labels_.push_back({std::move(label), whole});
}

}  // namespace revproxyd::config
