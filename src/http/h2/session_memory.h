#pragma once
// Where nghttp2 gets its memory from.

#include <nghttp2/nghttp2.h>

namespace revproxyd::http::h2 {

/// The slab of the calling thread; a session must stay on its thread.
nghttp2_mem memory_functions() noexcept;

}  // namespace revproxyd::http::h2
