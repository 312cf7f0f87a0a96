#pragma once
// The two ends of the differential tests: clients that say one request in either version, and what
// a message says whichever version it came in.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tests/integration/differential_table.h"
#include "tests/support/h2_client.h"
#include "tests/support/message.h"

namespace revproxyd::testing::differential {

/// A message as lines: `:method: GET` and so on, `name: value` in order with the names in lower
/// case, `length: 3` or `length: unknown`, `body: abc`, `trailer name: value`. Without the fields
/// of the connection and those that differ from one request to the next; the crumbs of a cookie are
/// one field, and the versions in Via are left out.
std::string lines_of(const Request& request);
std::string lines_of(const H2Message& request);

/// True when `line` is a line of `lines`, or, as "no NAME", when none is of that name.
bool shows(const std::string& lines, const std::string& line);
/// Without the lines of the name.
std::string without(const std::string& lines, std::string_view name);

/// What a client gets.
struct Answer {
  int status = 0;     // 0: no head came
  std::string lines;  // as lines_of(), with a line `interim STATUS` for each before
  std::string body;
  bool whole = false;
  std::optional<std::uint32_t> reset;
};

/// Sends the request on a connection of its own.
Answer ask(std::uint16_t port, Spoken version, const Asked& request);
/// In HTTP/1.1 or HTTP/1.0 with everything up to the end of the connection, so that an answer that
/// breaks off is seen as far as it came.
Answer ask_until_end(std::uint16_t port, const std::string& version, const std::string& method,
                     const std::string& path);

}  // namespace revproxyd::testing::differential
