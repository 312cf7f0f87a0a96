#pragma once
// Text of clients as it may stand in a line of the access log, hidden parameters replaced on the
// way.

#include <cstddef>
#include <string_view>

#include "revproxyd/base/copy_bytes.h"
#include "revproxyd/proxy/access_record.h"

namespace revproxyd::proxy {

/// Writes forward into room that the caller has reserved: no check and no growth between the parts
/// of a line.
class Pen {
 public:
  explicit Pen(char* at) noexcept : at_(at) {}
  char* at() const noexcept { return at_; }
  void move_to(char* at) noexcept { at_ = at; }
  void put(std::string_view text) noexcept { at_ = copy_bytes(at_, text); }
  void put(char c) noexcept { *at_++ = c; }

 private:
  char* at_;
};

/// How a byte that cannot stand for itself is written: \u00XX and the short forms of RFC 8259
/// section 7, or \xHH.
enum class Escape : unsigned char { json, combined };

/// Room that each function below needs at most: for each byte of the text, of which it writes no
/// more than kAccessFieldLimit (it becomes \u00XX, or is the '=' or '@' that brings "***" along),
/// and for the text ("..." at its end).
inline constexpr std::size_t kRoomOfByte = 6;
inline constexpr std::size_t kRoomOfText = 16;

/// Writes `text`, escaped and at most kAccessFieldLimit bytes of it.
void put_text(Pen& out, std::string_view text, Escape escape) noexcept;

/// As put_text, with the values of hidden parameters written as "***". A parameter may begin behind
/// '&', ';', '?' or '#', so that those of a URL inside a value are found too; a hidden value ends
/// at '&' only.
void put_query(Pen& out, std::string_view query, const AccessMask& mask, Escape escape) noexcept;

/// As put_query for all behind the first '?' or '#' of a URL reference; user and password in front
/// of the host are hidden.
void put_url(Pen& out, std::string_view url, const AccessMask& mask, Escape escape) noexcept;

}  // namespace revproxyd::proxy
