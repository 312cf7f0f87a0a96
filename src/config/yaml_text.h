#pragma once
// What the YAML library does not tell of the text that it read. Offsets count bytes of the text.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace revproxyd::config {

/// The '-' of the item of a block list that ends before `end` without a value; the list's dashes
/// stand at byte `column` of their lines, counted from 0.
std::optional<std::size_t> dash_of_empty_item(std::string_view text, std::size_t end,
                                              std::size_t column);

/// True for a value written as nothing (`~`, `null`) rather than left out.
bool says_null(std::string_view text, std::size_t at);

/// The opening quote of the scalar at `at`, behind its anchor and tag, when nothing closes it: the
/// library takes such a scalar up to the end of the file.
std::optional<std::size_t> unclosed_quote(std::string_view text, std::size_t at);

/// The library's reason for refusing `text` at `at`, in words for those who do not know its
/// grammar.
std::string explain_refusal(const std::string& reason, std::string_view text, std::size_t at);

}  // namespace revproxyd::config
