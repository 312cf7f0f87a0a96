// How much each side may send on a stream and on the connection: the windows of RFC 9113
// section 5.2.

#include <algorithm>

#include <nghttp2/nghttp2.h>

#include "http/h2/session.h"

namespace revproxyd::http::h2 {

bool Session::stream_window_closed(StreamId id) const noexcept {
  return nghttp2_session_get_stream_remote_window_size(session_, id) <= 0;
}

bool Session::window_closed(StreamId id) const noexcept {
  return stream_window_closed(id) || nghttp2_session_get_remote_window_size(session_) <= 0;
}

void Session::consume_stream(StreamId id, std::size_t bytes) noexcept {
  nghttp2_session_consume_stream(session_, id, bytes);
}

std::size_t Session::receive_window() const noexcept {
  return static_cast<std::size_t>(std::max(nghttp2_session_get_local_window_size(session_), 0));
}

void Session::widen_stream(StreamId id, std::size_t bytes) noexcept {
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, id,
                                        static_cast<std::int32_t>(bytes));
}

void Session::consume_connection(std::size_t bytes) noexcept {
  nghttp2_session_consume_connection(session_, bytes);
}

}  // namespace revproxyd::http::h2
