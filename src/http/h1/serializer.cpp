#include "http/h1/serializer.h"

#include <array>
#include <cassert>
#include <charconv>

#include "http/date.h"
#include "revproxyd/base/copy_bytes.h"
#include "revproxyd/http/status.h"

namespace revproxyd::http::h1 {

namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kColon = ": ";

// More than the serializer adds to any head besides start line and fields: framing, Date,
// Connection, line ends.
constexpr std::size_t kOverhead = 256;

// Writes into room that was reserved once for the whole head.
class Writer {
 public:
  Writer(Buffer& out, std::size_t most) : out_(out) {
    out.reserve(most);
    begin_ = at_ = out.room().data();
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { out_.commit(static_cast<std::size_t>(at_ - begin_)); }

  Writer& operator<<(std::string_view text) noexcept {
    at_ = copy_bytes(at_, text);
    return *this;
  }
  Writer& operator<<(char c) noexcept {
    *at_++ = c;
    return *this;
  }
  Writer& operator<<(std::uint64_t number) noexcept {
    constexpr std::ptrdiff_t kMostDigits = 20;
    at_ = std::to_chars(at_, at_ + kMostDigits, number).ptr;
    return *this;
  }
  void line(std::string_view name, std::string_view value) noexcept {
    *this << name << kColon << value << kLineEnd;
  }

 private:
  Buffer& out_;
  char* begin_;
  char* at_;
};

std::size_t size_of(const Fields& fields) noexcept {
  std::size_t size = 0;
  for (const Field& field : fields)
    size += field.name.size() + kColon.size() + field.value.size() + kLineEnd.size();
  return size;
}

constexpr bool frames(FieldName name) noexcept {
  return name == FieldName::content_length || name == FieldName::transfer_encoding ||
         name == FieldName::connection;
}

void write_length(std::uint64_t bytes, Writer& writer) noexcept {
  writer << name(FieldName::content_length) << kColon << bytes << kLineEnd;
}

void write_chunked(Writer& writer) noexcept {
  writer.line(name(FieldName::transfer_encoding), "chunked");
}

// RFC 9110 section 8.6: these methods give content a meaning, so its absence is said.
constexpr bool expects_content(Method method) noexcept {
  return method == Method::post || method == Method::put || method == Method::patch;
}

void write_request_framing(const RequestHead& head, Writer& writer) noexcept {
  switch (head.length.framing) {
    case Framing::chunked: return write_chunked(writer);
    case Framing::length: return write_length(head.length.bytes, writer);
    case Framing::none:
    case Framing::until_close:
    case Framing::tunnel: break;
  }
  // A request cannot end with its connection; a tunnel begins behind a head without content.
  assert(head.length.framing != Framing::until_close);
  if (expects_content(head.method)) write_length(0, writer);
}

constexpr bool bodiless(std::uint16_t status) noexcept {
  return status < 200 || status == 204 || status == 304;
}

// Framing of the bytes that follow the head.
Framing framing_on_wire(const ResponseHead& head, const ResponseOptions& options) noexcept {
  if (head.status == 101 || head.length.framing == Framing::tunnel) return Framing::tunnel;
  if (options.head_request || bodiless(head.status)) return Framing::none;
  if (head.length.framing == Framing::chunked && options.client_version == Version::http10)
    return Framing::until_close;
  return head.length.framing;
}

// RFC 9110 section 8.6 and RFC 9112 section 6.1: 1xx, 204 and tunnels have no framing fields; 304
// and answers to HEAD have those that the answer to GET would have, where they are known.
void write_response_framing(const ResponseHead& head, const ResponseOptions& options,
                            Writer& writer) noexcept {
  if (head.status < 200 || head.status == 204 || head.length.framing == Framing::tunnel) return;
  switch (head.length.framing) {
    case Framing::length: return write_length(head.length.bytes, writer);
    case Framing::chunked:
      if (options.client_version != Version::http10 && head.status != 304) write_chunked(writer);
      return;
    case Framing::none:
      if (!options.head_request && head.status != 304) return write_length(0, writer);
      if (const Field* told = head.fields.find(FieldName::content_length)) {
        writer.line(name(FieldName::content_length), told->value);
      }
      return;
    case Framing::until_close:
    case Framing::tunnel: return;
  }
}

void write_connection(bool keep_alive, Version client_version, Writer& writer) noexcept {
  if (!keep_alive) return writer.line(name(FieldName::connection), "close");
  if (client_version == Version::http10) writer.line(name(FieldName::connection), "keep-alive");
}

}  // namespace

void write_request(const RequestHead& head, std::string_view target, std::string_view host,
                   std::string_view connection, Buffer& out) {
  Writer writer(out, head.method_text.size() + target.size() + host.size() + connection.size() +
                         size_of(head.fields) + kOverhead);
  writer << head.method_text << ' ' << target << " HTTP/1.1\r\n";
  writer.line(name(FieldName::host), host);
  for (const Field& field : head.fields) {
    if (frames(field.known) || field.known == FieldName::host || field.known == FieldName::upgrade)
      continue;
    writer.line(field.name, field.value);
  }
  write_request_framing(head, writer);
  if (!connection.empty()) writer.line(name(FieldName::connection), connection);
  // Without Connection naming it, Upgrade would be passed on by whoever reads this (RFC 9110
  // section 7.8).
  if (connection == "upgrade") {
    for (const Field& field : head.fields) {
      if (field.known == FieldName::upgrade) writer.line(field.name, field.value);
    }
  }
  writer << kLineEnd;
}

Framing write_response(const ResponseHead& head, const ResponseOptions& options, Buffer& out) {
  if (is_interim(head.status) && options.client_version == Version::http10) return Framing::none;
  const std::string_view phrase = reason_phrase(head.status);
  const std::string_view reason =
      !head.reason.empty() || phrase == "Unknown" ? head.reason : phrase;
  const Framing framing = framing_on_wire(head, options);
  const bool informational = head.status < 200;
  Writer writer(out, reason.size() + size_of(head.fields) + kOverhead);
  writer << "HTTP/1.1 " << std::uint64_t{head.status} << ' ' << reason << kLineEnd;
  for (const Field& field : head.fields) {
    if (frames(field.known) || (informational && field.known == FieldName::date)) continue;
    writer.line(field.name, field.value);
  }
  if (head.status == 101) {
    writer.line(name(FieldName::connection), "upgrade");
  } else if (!informational) {
    if (!head.fields.has(FieldName::date)) writer.line(name(FieldName::date), date_now());
    write_response_framing(head, options, writer);
    const bool keep_alive = options.keep_alive && framing != Framing::until_close;
    // The bytes behind a 2xx to CONNECT belong to no connection option.
    if (framing != Framing::tunnel) write_connection(keep_alive, options.client_version, writer);
  }
  writer << kLineEnd;
  return framing;
}

void write_chunk_size(std::size_t size, Buffer& out) {
  // A chunk without bytes would be the last one (RFC 9112 section 7.1).
  assert(size != 0);
  std::array<char, 2 * sizeof(size) + kLineEnd.size()> text{};
  char* end = std::to_chars(text.data(), text.data() + text.size(), size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(Bytes(text.data(), static_cast<std::size_t>(end - text.data())));
}

void write_last_chunk(const Fields* trailers, Buffer& out) {
  const bool any = trailers != nullptr && !trailers->empty();
  Writer writer(out, kOverhead + (any ? size_of(*trailers) : 0));
  writer << "0\r\n";
  if (any) {
    for (const Field& field : *trailers) writer.line(field.name, field.value);
  }
  writer << kLineEnd;
}

}  // namespace revproxyd::http::h1
