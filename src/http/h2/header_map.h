#pragma once
// Heads and trailers between HTTP/2's field sections and the values that the proxy works with
// (RFC 9113 section 8).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "http/h2/session.h"
#include "revproxyd/base/arena.h"
#include "revproxyd/http/head.h"

namespace revproxyd::http::h2 {

struct SectionLimits {
  std::size_t bytes = 32 * 1024;  // names and values with 32 bytes a field (RFC 9113 section 6.5.2)
  std::size_t count = 100;
  std::size_t start_line = 8 * 1024;  // what method and path would be in HTTP/1.1
};

enum class SectionKind : std::uint8_t { request, response, request_trailers, response_trailers };

/// Collects one field section as it is decoded. Nothing is kept of a section that has broken a
/// rule; the first one broken is the error.
class Section {
 public:
  Section(Arena& arena, const SectionLimits& limits) noexcept : arena_(&arena), limits_(limits) {}

  /// Begins anew.
  void open(SectionKind kind) noexcept;
  void add(std::string_view name, std::string_view value);
  const Error& error() const noexcept { return error_; }
  /// So much more than allowed that going on serves nobody but an attacker.
  bool hopeless() const noexcept { return bytes_ > 4 * limits_.bytes + kSlack; }
  std::size_t bytes() const noexcept { return bytes_; }

  /// The request of a section without an error; `ended`: no body follows. An extended CONNECT
  /// becomes the upgrade that it stands for (RFC 8441 section 5). Once.
  Result<RequestHead> take_request(bool ended);
  /// What could be read of a request that is refused.
  RequestHead take_refused();
  /// The response to a request with `method`.
  Result<ResponseHead> take_response(Method method, bool ended);
  /// A trailer section with what may be in one.
  Fields take_trailers();
  bool has_status() const noexcept { return !status_.empty(); }

 private:
  static constexpr std::size_t kSlack = 64 * 1024;
  bool fits(std::string_view name, std::string_view value) noexcept;
  void add_pseudo(std::string_view name, std::string_view value);
  bool is_request() const noexcept {
    return kind_ == SectionKind::request || kind_ == SectionKind::request_trailers;
  }
  bool is_trailers() const noexcept {
    return kind_ == SectionKind::request_trailers || kind_ == SectionKind::response_trailers;
  }
  void malformed(const char* text) noexcept;
  Result<void> settle_request(RequestHead& head, bool ended);
  Result<void> settle_authority(RequestHead& head);
  void become_upgrade(RequestHead& head);

  Arena* arena_;
  SectionLimits limits_;
  SectionKind kind_ = SectionKind::request;
  Error error_{Code::none};
  std::optional<Fields> fields_;
  std::string_view method_;
  std::string_view scheme_;
  std::string_view authority_;
  std::string_view path_;
  std::string_view protocol_;
  std::string_view status_;
  bool has_authority_ = false;
  std::size_t bytes_ = 0;
  std::size_t count_ = 0;
  bool crumbs_ = false;  // of a cookie have come
};

/// A request towards an origin. `target` and `host` as in ClientStream::stage_head. An upgrade is
/// left out: HTTP/2 has none, and a server may always go on without (RFC 9110 section 7.8).
void write_request(const RequestHead& head, std::string_view target, std::string_view host,
                   bool secure, WireFields& out);

/// A response towards a client. `head_request`: framing fields describe a body that is not sent. A
/// 101 becomes the 200 of an extended CONNECT. Views live as long as the head.
void write_response(const ResponseHead& head, bool head_request, Arena& arena, WireFields& out);

void write_trailers(const Fields& trailers, WireFields& out);

}  // namespace revproxyd::http::h2
