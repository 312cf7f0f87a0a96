#include "http/h2/session.h"

#include <array>

#include <nghttp2/nghttp2.h>

#include "http/h2/bare_end.h"
#include "http/h2/session_memory.h"

namespace revproxyd::http::h2 {

namespace {

// What a head counts for among the frames that carry something.
constexpr std::size_t kHeadBytes = 1024;
// Content in pieces smaller than this counts when it adds up to so much.
constexpr std::size_t kCrumbs = 512;
// RFC 9218 section 7.1.
constexpr std::uint8_t kPriorityUpdate = 0x10;
// More CONTINUATION frames than a section of the size that is allowed can need, with room for
// senders that fill their frames badly. Clients send full ones as a rule.
constexpr std::size_t kFrameBytes = 16 * 1024;
constexpr std::size_t kSpareContinuations = 8;
// Servers may send smaller ones: what is too much is to cost one request, not the session, which
// many share.
constexpr std::size_t kServersFrameBytes = 256;
constexpr std::size_t kServersContinuations = 64;
// As the bound of nghttp2 counts, with some bytes more for each field: all that a configuration may
// allow a server.
constexpr std::size_t kLargestHead = 64U << 20;
constexpr StreamId kAnyStream = INT32_MAX;

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) noexcept {
  return {reinterpret_cast<const char*>(bytes), size};
}

std::uint8_t flags_of(const WireField& field) noexcept {
  return static_cast<std::uint8_t>((field.secret ? NGHTTP2_NV_FLAG_NO_INDEX : 0) |
                                   (field.lasting ? NGHTTP2_NV_FLAG_NO_COPY_NAME : 0));
}

nghttp2_nv wire(const WireField& field) noexcept {
  const auto* name = reinterpret_cast<const std::uint8_t*>(field.name.data());
  const auto* value = reinterpret_cast<const std::uint8_t*>(field.value.data());
  return {const_cast<std::uint8_t*>(name),   // NOLINT: nghttp2 does not write there
          const_cast<std::uint8_t*>(value),  // NOLINT: and copies
          field.name.size(), field.value.size(), flags_of(field)};
}

// Views of `fields`, valid until the next call on this thread.
std::span<nghttp2_nv> wire(const WireFields& fields) {
  static thread_local std::vector<nghttp2_nv> list;
  list.clear();
  for (const WireField& field : fields) list.push_back(wire(field));
  return list;
}

bool carries_fields(const nghttp2_frame& frame) noexcept {
  return frame.hd.type == NGHTTP2_HEADERS;
}

bool ends_message(const nghttp2_frame& frame) noexcept {
  return (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

}  // namespace

struct Session::Callbacks {
  static Session& self(void* user) noexcept { return *static_cast<Session*>(user); }

  static SessionStream* stream(nghttp2_session* session, StreamId id) noexcept {
    return static_cast<SessionStream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  // Ends the work on what has come when it led to the end of the session.
  static int go_on(const Session& me) noexcept {
    return me.deaf_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
  }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Session& me = self(user);
    me.section_id_ = frame->hd.stream_id;
    me.section_of_ = nullptr;
    if (!carries_fields(*frame)) return 0;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
      me.section_of_ = stream(session, frame->hd.stream_id);
      if (me.section_of_ != nullptr) me.section_of_->on_fields_begin();
      return 0;
    }
    me.history_.note_opened(frame->hd.stream_id);
    SessionStream* opened = me.owner_.on_stream_opened(frame->hd.stream_id);
    me.section_of_ = opened;
    if (opened == nullptr) {
      me.reset(frame->hd.stream_id, ErrorCode::refused_stream);
      return 0;
    }
    me.owner_.on_useful_frame(kHeadBytes);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, opened);
    return 0;
  }

  static std::string_view text_of(nghttp2_rcbuf* buffer) noexcept {
    const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(buffer);
    return h2::text_of(bytes.base, bytes.len);
  }

  static int header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf* name,
                    nghttp2_rcbuf* value, std::uint8_t, void* user) {
    const Session& me = self(user);
    if (me.section_of_ != nullptr) me.section_of_->on_field(text_of(name), text_of(value));
    return go_on(me);
  }

  // A field that is not allowed where it stands makes the message malformed; it is not dropped.
  static int invalid_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*, nghttp2_rcbuf*,
                            std::uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
    SessionOwner& owner = self(user).owner_;
    switch (head->type) {
      case NGHTTP2_GOAWAY: owner.on_idle_frame(Idle::empty_frame); break;
      case NGHTTP2_SETTINGS: owner.on_idle_frame(Idle::settings); break;
      case NGHTTP2_PING: owner.on_idle_frame(Idle::ping); break;
      case NGHTTP2_WINDOW_UPDATE: owner.on_idle_frame(Idle::window_update); break;
      case NGHTTP2_PRIORITY:
      case kPriorityUpdate: owner.on_idle_frame(Idle::priority); break;
      default: break;
    }
    return go_on(self(user));
  }

  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Session& me = self(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (SessionStream* to = std::exchange(me.section_of_, nullptr); to != nullptr)
          to->on_fields_end(ends_message(*frame));
        break;
      case NGHTTP2_DATA: data_received(session, *frame, me); break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) me.owner_.on_ping_answer();
        break;
      case NGHTTP2_GOAWAY:
        me.owner_.on_goaway(frame->goaway.last_stream_id, ErrorCode{frame->goaway.error_code});
        break;
      case NGHTTP2_RST_STREAM:
        if (nghttp2_session_find_stream(session, frame->hd.stream_id) != nullptr) {
          me.owner_.on_peer_reset();
        } else {
          me.owner_.on_idle_frame(Idle::empty_frame);
        }
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) me.owner_.on_settings();
        break;
      default: break;
    }
    return 0;
  }

  static void data_received(nghttp2_session* session, const nghttp2_frame& frame, Session& me) {
    if (ends_message(frame)) {
      if (SessionStream* to = stream(session, frame.hd.stream_id); to != nullptr) to->on_body_end();
    } else if (frame.hd.length != 0 && frame.hd.length == frame.data.padlen) {
      me.owner_.on_idle_frame(Idle::empty_frame);
    }
  }

  static int data_chunk(nghttp2_session* session, std::uint8_t, StreamId id,
                        const std::uint8_t* bytes, std::size_t size, void* user) {
    Session& me = self(user);
    me.owner_.on_useful_frame(size);
    if (SessionStream* to = stream(session, id); to != nullptr) {
      to->on_body(h2::text_of(bytes, size));
    } else {
      me.consume_connection(size);
    }
    return 0;
  }

  static int stream_closed(nghttp2_session* session, StreamId id, std::uint32_t code, void* user) {
    self(user).leave_section(id);
    if (SessionStream* to = stream(session, id); to != nullptr) to->on_closed(ErrorCode{code});
    return 0;
  }

  static int invalid_frame(nghttp2_session* session, const nghttp2_frame* frame, int error,
                           void* user) {
    if (SessionStream* to = stream(session, frame->hd.stream_id); to != nullptr)
      to->on_malformed(nghttp2_strerror(error));
    self(user).history_.note_reset(frame->hd.stream_id);
    self(user).owner_.on_provoked_reset();
    return 0;
  }

  // frame_sent() would hear of it with the next frame only.
  static int before_send(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || self(user).role_ != Role::client) return 0;
    if (SessionStream* to = stream(session, frame->hd.stream_id); to != nullptr)
      to->on_request_leaves();
    return 0;
  }

  // The rest of a request that was answered is not wanted.
  static void end_if_left(nghttp2_session* session, StreamId id, Session& me) {
    if (me.role_ == Role::server && stream(session, id) == nullptr &&
        nghttp2_session_get_stream_remote_close(session, id) == 0)
      me.reset(id, ErrorCode::no_error);
  }

  static int frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    Session& me = self(user);
    const bool content = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (content && ends_message(*frame)) end_if_left(session, frame->hd.stream_id, me);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: --me.heads_waiting_; break;
      case NGHTTP2_RST_STREAM: me.reset_sent(frame->hd.stream_id); break;
      case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR) me.broken_ = true;
        if (frame->goaway.error_code == NGHTTP2_COMPRESSION_ERROR) me.undecodable_ = true;
        // Its answer says that the announcement was heard; nghttp2 would send it first.
        if (frame->goaway.last_stream_id == kAnyStream) me.ping();
        break;
      default: break;
    }
    return 0;
  }

  // An answer whose head cannot be sent, and whose stream has not gone meanwhile, would wait for
  // ever. A request's stream is closed by nghttp2, and was never opened for the peer.
  static int frame_not_sent(nghttp2_session* session, const nghttp2_frame* frame, int, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    Session& me = self(user);
    --me.heads_waiting_;
    const StreamId id = frame->hd.stream_id;
    if (me.role_ == Role::server && nghttp2_session_find_stream(session, id) != nullptr)
      me.reset(id, ErrorCode::internal_error);
    return 0;
  }

  static ssize_t read_body(Session& me, SessionStream& stream, std::size_t most,
                           std::uint32_t& flags) {
    const Outgoing out = stream.take_body(most);
    me.note_content(out);
    if (out.end) flags |= NGHTTP2_DATA_FLAG_EOF;
    if (out.nothing()) return NGHTTP2_ERR_DEFERRED;
    flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    me.content_ = out.bytes;
    return static_cast<ssize_t>(out.bytes.size());
  }

  // Follows read_body() at once. The content goes to where it is sent from without a stop in
  // nghttp2's own frame.
  static int write_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* head, std::size_t,
                        nghttp2_data_source*, void* user) {
    Session& me = self(user);
    me.out_->append(h2::text_of(head, kFrameHead));
    me.out_->append(std::exchange(me.content_, {}));
    return me.out_->size() < me.out_limit_ ? 0 : NGHTTP2_ERR_PAUSE;
  }

  static nghttp2_data_provider provider(SessionStream* stream) noexcept {
    nghttp2_data_provider made{};
    made.source.ptr = stream;
    made.read_callback = [](nghttp2_session*, StreamId, std::uint8_t*, std::size_t most,
                            std::uint32_t* flags, nghttp2_data_source* source,
                            void* user) -> ssize_t {
      return read_body(self(user), *static_cast<SessionStream*>(source->ptr), most, *flags);
    };
    return made;
  }

  static nghttp2_session_callbacks* table() {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(made, header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(made, invalid_header);
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, begin_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, stream_closed);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, invalid_frame);
    nghttp2_session_callbacks_set_before_frame_send_callback(made, before_send);
    nghttp2_session_callbacks_set_send_data_callback(made, write_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(made, frame_not_sent);
    return made;
  }

  static std::size_t most_continuations(Role role, std::size_t header_bytes) noexcept {
    return role == Role::server ? kSpareContinuations + 2 * header_bytes / kFrameBytes
                                : kServersContinuations + header_bytes / kServersFrameBytes;
  }

  static nghttp2_option* options(Role role, const SessionSettings& settings) {
    nghttp2_option* made = nullptr;
    nghttp2_option_new(&made);
    // Windows are given back when the reader has taken the bytes.
    nghttp2_option_set_no_auto_window_update(made, 1);
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_builtin_recv_extension_type(made, kPriorityUpdate);
    // Resets are judged by the connection, with everything else that a client may do wrong.
    nghttp2_option_set_stream_reset_rate_limit(made, UINT32_MAX, UINT32_MAX);
    nghttp2_option_set_max_continuations(made, most_continuations(role, settings.header_bytes));
    nghttp2_option_set_max_send_header_block_length(made, kLargestHead);
    return made;
  }
};

Session::Session(Role role, const SessionSettings& settings, SessionOwner& owner)
    : owner_(owner), role_(role), scan_(NGHTTP2_CLIENT_MAGIC_LEN) {
  static nghttp2_session_callbacks* const callbacks = Callbacks::table();
  static nghttp2_mem memory = memory_functions();
  nghttp2_option* const options = Callbacks::options(role, settings);
  const auto make =
      role == Role::server ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
  make(&session_, callbacks, this, options, &memory);
  nghttp2_option_del(options);
  std::array<nghttp2_settings_entry, 5> entries{{
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, settings.header_bytes},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings.streams},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
  }};
  if (role == Role::client) entries[3] = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  const std::size_t count = role == Role::server ? entries.size() : entries.size() - 1;
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries.data(), count);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(settings.connection_window));
}

Session::~Session() { nghttp2_session_del(session_); }

Error Session::failure(int code) noexcept {
  return Error(Code::protocol_error, Side::internal, nghttp2_strerror(code));
}

Result<void> Session::produce(Buffer& out, std::size_t limit) {
  out_ = &out;
  out_limit_ = limit;
  while (out.size() < limit) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) return failure(static_cast<int>(size));
    if (size == 0) {
      if (!std::exchange(concluding_, false)) return {};
      terminate(ErrorCode::no_error);
      continue;
    }
    append_frame(text_of(bytes, static_cast<std::size_t>(size)), out);
  }
  return {};
}

bool Session::wants_write() const noexcept { return nghttp2_session_want_write(session_) != 0; }

bool Session::over() const noexcept {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

Result<StreamId> Session::submit_request(const WireFields& fields, SessionStream& stream,
                                         bool body) {
  const auto list = wire(fields);
  const nghttp2_data_provider provider = Callbacks::provider(&stream);
  const StreamId id = nghttp2_submit_request(session_, nullptr, list.data(), list.size(),
                                             body ? &provider : nullptr, &stream);
  if (id < 0) return failure(id);
  ++heads_waiting_;
  return id;
}

Result<void> Session::submit_response(StreamId id, const WireFields& fields, SessionStream& stream,
                                      bool body) {
  const auto list = wire(fields);
  const nghttp2_data_provider provider = Callbacks::provider(&stream);
  const int code =
      nghttp2_submit_response(session_, id, list.data(), list.size(), body ? &provider : nullptr);
  return head_queued(code);
}

Result<void> Session::head_queued(int code) noexcept {
  if (code != 0) return failure(code);
  ++heads_waiting_;
  return {};
}

Result<void> Session::submit_interim(StreamId id, const WireFields& fields) {
  const auto list = wire(fields);
  const int code = nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, list.data(),
                                          list.size(), nullptr);
  return head_queued(code);
}

Result<void> Session::submit_trailers(StreamId id, const WireFields& fields) {
  const auto list = wire(fields);
  const int code = nghttp2_submit_trailer(session_, id, list.data(), list.size());
  return head_queued(code);
}

void Session::resume(StreamId id) noexcept { nghttp2_session_resume_data(session_, id); }

// A reset that nobody here asked for answers what the peer did: more or less content than it had
// announced, a window beyond its bounds.
void Session::reset_sent(StreamId id) {
  if (history_.was_reset(id) || history_.forgot(id)) return;
  history_.note_reset(id);
  if (SessionStream* to = Callbacks::stream(session_, id); to != nullptr)
    to->on_malformed("more or less than was announced");
  owner_.on_provoked_reset();
}

// Crumbs for a window that is too small for what there is count when they add up.
void Session::note_content(const Outgoing& out) noexcept {
  const std::size_t size = out.bytes.size();
  content_sent_ += size;
  if (size == 0) return;
  if (out.whole || size >= kCrumbs) return owner_.on_useful_frame(size);
  crumbs_ += size;
  if (crumbs_ < kCrumbs) return;
  crumbs_ -= kCrumbs;
  owner_.on_useful_frame(kCrumbs);
}

void Session::reset(StreamId id, ErrorCode code) noexcept {
  history_.note_reset(id);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<std::uint32_t>(code));
}

// Else frame_sent() does it.
void Session::end_behind_message(StreamId id) noexcept {
  if (nghttp2_session_get_stream_local_close(session_, id) == 1) reset(id, ErrorCode::no_error);
}

bool Session::is_open(StreamId id) const noexcept {
  return nghttp2_session_find_stream(session_, id) != nullptr;
}

void Session::leave_section(StreamId id) noexcept {
  if (section_id_ == id) section_of_ = nullptr;
}

void Session::detach(StreamId id) noexcept {
  leave_section(id);
  nghttp2_session_set_stream_user_data(session_, id, nullptr);
}

std::size_t Session::backlog() const noexcept {
  return nghttp2_session_get_outbound_queue_size(session_);
}

void Session::announce_shutdown() noexcept { nghttp2_submit_shutdown_notice(session_); }

void Session::goaway(ErrorCode code) noexcept {
  part();
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last_taken_, static_cast<std::uint32_t>(code),
                        nullptr, 0);
}

void Session::terminate(ErrorCode code) noexcept {
  part();
  deaf_ = deaf_ || code != ErrorCode::no_error;
  nghttp2_session_terminate_session2(session_, last_taken_, static_cast<std::uint32_t>(code));
}

// What the peer opens from now on is not looked at, although nghttp2 counts it: the last stream
// that GOAWAY names must not rise (RFC 9113 section 6.8).
void Session::part() noexcept {
  if (!std::exchange(parted_, true))
    last_taken_ = nghttp2_session_get_last_proc_stream_id(session_);
}

void Session::ping() noexcept { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }

bool Session::can_open() const noexcept {
  return nghttp2_session_check_request_allowed(session_) != 0;
}

std::uint32_t Session::peer_streams() const noexcept {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

}  // namespace revproxyd::http::h2
