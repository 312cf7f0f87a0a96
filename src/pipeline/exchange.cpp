#include "revproxyd/pipeline/exchange.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "revproxyd/base/deadline.h"
#include "revproxyd/tls/random.h"

namespace revproxyd::pipeline {

namespace {

constexpr std::size_t kLongestId = 128;

bool acceptable_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= kLongestId &&
         std::ranges::all_of(id, [](char c) { return c > ' ' && c <= '~'; });
}

constexpr std::array<std::array<char, 2>, 256> make_hex_pairs() noexcept {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> pairs{};
  for (std::size_t byte = 0; byte < pairs.size(); ++byte)
    pairs[byte] = {kHex[byte >> 4], kHex[byte & 15]};
  return pairs;
}
constexpr auto kHexPairs = make_hex_pairs();

std::string_view random_id(Arena& arena) {
  std::array<std::uint8_t, 16> random;
  tls::fill_random(random);
  char* out = arena.text(random.size() * 2);
  for (std::size_t i = 0; i < random.size(); ++i)
    std::memcpy(out + 2 * i, kHexPairs[random[i]].data(), 2);
  return {out, random.size() * 2};
}

}  // namespace

Exchange::Exchange(http::ServerStream& stream, const Client& client,
                   const proxy::Snapshot& snapshot)
    : Exchange(stream.take_request(), stream.arena(), stream.scope(), client, snapshot) {
  stream_ = &stream;
  if (stream.refusal()) refusal_ = *stream.refusal();
}

Exchange::Exchange(http::Request request, Arena& arena, CancelScope& scope, const Client& client,
                   const proxy::Snapshot& snapshot)
    : stream_(nullptr),
      arena_(arena),
      scope_(scope),
      client_(client),
      standing_{.listener = client.listener},
      snapshot_(snapshot),
      request_(std::move(request)),
      address_(client.peer),
      scheme_(client.scheme) {
  notes.began = loop_now();
  notes.referer = request_.head.fields.get(http::FieldName::referer);
  notes.user_agent = request_.head.fields.get(http::FieldName::user_agent);
}

std::string_view Exchange::id() {
  if (!id_.empty()) return id_;
  const std::string_view given = request_.head.fields.get(http::FieldName::x_request_id);
  id_ = standing_.trusted && acceptable_id(given) ? given : random_id(arena_);
  return id_;
}

std::string_view Exchange::address_text() {
  if (!address_text_.empty()) return address_text_;
  net::Address::HostRoom room;
  address_text_ = arena_.copy(address_.host(room));
  return address_text_;
}

Task<Result<void>> Exchange::interim(const http::ResponseHead& head) {
  if (stream_ == nullptr) return Task<Result<void>>::settled(Result<void>());
  return stream_->send_interim(head);
}

Task<void> Exchange::finish() {
  if (running_ != nullptr && !running_->ended()) return finish_running();
  running_.reset();
  return Task<void>::settled();
}

Task<void> Exchange::finish_running() {
  co_await running_->finish();
  running_.reset();
}

}  // namespace revproxyd::pipeline
