#pragma once
// Cases of tests/wire/*.md: the bytes of one message and what must come of them.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "http/h1/parser.h"

namespace revproxyd::wire {

/// `request` and `response` are whole messages, `chunked` a chunked body of a request.
enum class Input { request, response, chunked };

struct Case {
  std::string file;
  std::string title;
  Input input = Input::request;
  http::Method method = http::Method::get;  // that a response answers
  http::h1::HeadLimits limits;
  std::string bytes;
  std::vector<std::string> expected;
};

/// Lines `key value` in the order in which they came to be.
using Outcome = std::vector<std::pair<std::string, std::string>>;

/// Every case of every Markdown file in `directory`; throws std::runtime_error where one breaks the
/// notation.
std::vector<Case> load_cases(const std::filesystem::path& directory);

/// What comes of the case's bytes when they arrive in `pieces`.
Outcome feed(const Case& wire_case, const std::vector<std::string_view>& pieces);

/// Bytes with everything but printable ASCII escaped, as the files have them.
std::string escape(std::string_view bytes);

}  // namespace revproxyd::wire
