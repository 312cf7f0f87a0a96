#pragma once
// HTTP/1.1 heads and chunk framing to bytes. Only this file writes framing fields.

#include <cstddef>
#include <string_view>

#include "revproxyd/base/buffer.h"
#include "revproxyd/http/head.h"

namespace revproxyd::http::h1 {

/// Appends a request head to `out`: always HTTP/1.1, `target` as given, Host first (value `host`),
/// then fields in order except Host and framing fields, then framing from head.length, then
/// `connection` ("close", "upgrade", or nothing when empty) with Upgrade where the fields carry it
/// (with any other `connection` it is left out), then the empty line. A length of 0 is written for
/// POST, PUT and PATCH without a body (RFC 9110 section 8.6). Any other Connection field is left
/// out. Names and values are written as they are: who makes them keeps line ends out.
void write_request(const RequestHead& head, std::string_view target, std::string_view host,
                   std::string_view connection, Buffer& out);

struct ResponseOptions {
  Version client_version =
      Version::http11;        // an HTTP/1.0 client gets no chunks and no interim responses
  bool keep_alive = true;     // written as the client's version needs it
  bool head_request = false;  // framing fields describe a body that is not sent
};
/// Appends a response head: "HTTP/1.1 status reason" always, fields in order except framing and
/// Connection, a Date when there is none (RFC 9110 section 6.6.1), framing from head.length,
/// Connection. A 1xx head carries neither framing nor Date nor Connection, except that 101 carries
/// "Connection: upgrade"; to an HTTP/1.0 client an interim head is not written at all. An empty
/// reason is filled in where the registry has one. until_close always says "Connection: close".
/// Framing::none writes a length of 0, but for an answer to HEAD and a 304 the Content-Length that
/// the fields carry, or none. Returns the framing in force on the wire: none where no body follows,
/// and chunked becomes until_close for HTTP/1.0.
Framing write_response(const ResponseHead& head, const ResponseOptions& options, Buffer& out);

/// Appends "SIZE\r\n"; `size` is not 0, which would end the body. CRLF behind the data is the
/// caller's to write.
void write_chunk_size(std::size_t size, Buffer& out);
/// Appends the last chunk, `trailers` and the empty line.
void write_last_chunk(const Fields* trailers, Buffer& out);

}  // namespace revproxyd::http::h1
