#pragma once
// The one way in which regexes of the configuration are compiled: RE2, so that matching is linear
// in the text.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <re2/re2.h>

namespace revproxyd::filters {

/// What one compiled regex may hold, its automaton's cache included. A pattern that needs more is
/// refused; a cache that would grow beyond is dropped and built anew while matching.
inline constexpr std::int64_t kRegexMemory = 8 << 20;

/// What the programs of all regexes of a configuration may have in sum; each takes 8 bytes, and
/// what it was made from up to some 40.
inline constexpr std::size_t kRegexInstructions = 4'000'000;

/// Case-sensitive unless the pattern says (?i), UTF-8, first alternative wins. Logs nothing. Never
/// null: see ok() and error().
std::unique_ptr<const re2::RE2> compile_regex(const std::string& pattern);

}  // namespace revproxyd::filters
