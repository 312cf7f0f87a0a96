#pragma once
// Finds function bodies by their braces. It knows no C++, only the shapes that this tree is written
// in.

#include <cstddef>
#include <string_view>
#include <vector>

namespace revproxyd::tidy {

struct Function {
  std::size_t line = 0;    // of the opening brace
  std::size_t length = 0;  // lines from the opening brace to the closing one, both counted
  std::size_t parameters = 0;
  std::size_t nesting = 0;  // depth of blocks and lambdas in the body
};

/// The functions that `text` defines; lambdas count as part of the function around them.
std::vector<Function> functions_of(std::string_view text);

}  // namespace revproxyd::tidy
