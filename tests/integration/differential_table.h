#pragma once
// The tables of tests/integration/differential/*.md: one message a line, said once for all versions
// of HTTP. README.md beside them explains the notation.

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/h2_frames.h"

namespace revproxyd::testing::differential {

/// In the order in which a row says things of them.
enum class Spoken { http1 = 0, http2 = 1 };
inline constexpr std::array kSpoken{Spoken::http1, Spoken::http2};

enum class Length {
  none,     // no content
  known,    // its length is announced
  unknown,  // chunks, or DATA without an announcement
  said,     // the fields of the row say what they like about it
};

/// A request in one of the versions.
struct Asked {
  std::string method;
  std::string path;  // whatever stands as target
  std::string scheme = "http";
  std::string authority = "test";
  bool has_path = true;
  bool has_scheme = true;
  bool has_authority = true;
  h2::Fields fields;
  Length length = Length::none;
  std::vector<std::string> pieces;
  h2::Fields trailers;
  bool cut = false;  // the HTTP/1.1 client leaves behind the content

  std::string content() const;
};

/// What comes of a request: `passed`, a status, or `malformed`.
struct Verdict {
  bool passed = false;
  bool malformed = false;  // a stream error, before which 400 may come
  int status = 200;
};

struct RequestRow {
  std::string name;
  std::array<Asked, 2> asked;      // by Spoken
  std::array<Verdict, 2> verdict;  // by Spoken
  bool may_begin = false;          // a refused one whose head may have been passed on
  std::vector<std::string> seen;   // lines of the origin's record, or "no NAME"
};

/// An answer of an HTTP/1.1 server.
struct AnswerRow {
  std::string name;
  std::string method;
  std::string bytes;
  bool closes = false;  // the server, behind the bytes
  bool broken = false;  // the clients must learn that the content is not whole
  int status = 200;
  std::vector<std::string> seen;  // lines of what each client gets, or "no NAME"
};

/// Every row of a file in that directory; throws std::runtime_error where one breaks the notation.
std::vector<RequestRow> load_requests(const std::string& file);
std::vector<AnswerRow> load_answers(const std::string& file);

}  // namespace revproxyd::testing::differential
