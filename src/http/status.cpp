#include "revproxyd/http/status.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace revproxyd::http {

namespace {

struct Phrase {
  std::uint16_t status;
  std::string_view text;
};

constexpr Phrase kPhrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {104, "Upload Resumption Supported"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

constexpr std::uint16_t kFirst = 100;
constexpr std::uint16_t kEnd = 600;

// By status: one more than the place of its phrase, or 0.
constexpr std::array<std::uint8_t, kEnd - kFirst> make_places() noexcept {
  std::array<std::uint8_t, kEnd - kFirst> places{};
  std::uint8_t place = 0;
  for (const Phrase& phrase : kPhrases)
    places[static_cast<std::size_t>(phrase.status - kFirst)] = ++place;
  return places;
}
constexpr auto kPlaces = make_places();

}  // namespace

std::string_view reason_phrase(std::uint16_t status) noexcept {
  const bool known = status >= kFirst && status < kEnd;
  const std::uint8_t place = known ? kPlaces[static_cast<std::size_t>(status - kFirst)] : 0;
  return place == 0 ? "Unknown" : kPhrases[place - 1].text;
}

}  // namespace revproxyd::http
