#pragma once
// Views of bytes on their way. A view dies at the next read of its source.

#include <span>
#include <string_view>

namespace revproxyd {

using Bytes = std::string_view;
using MutableBytes = std::span<char>;

}  // namespace revproxyd
