// What reading one request head costs: ns a request, the least and the median of many batches.

#include "http/h1/parser.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string_view>

namespace {

using namespace revproxyd;

// A browser's request: 670 bytes, 12 fields.
constexpr std::string_view kRequest =
    "GET /assets/images/products/2024/large/red-shoe.png?version=4711&format=webp HTTP/1.1\r\n"
    "Host: shop.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://shop.example.com/catalogue/shoes?page=2\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=5b1f8a0c9d3e4f7a8b6c5d4e3f2a1b0c; theme=dark; cart=3; consent=all12\r\n"
    "Sec-Fetch-Dest: image\r\n"
    "Sec-Fetch-Mode: no-cors\r\n"
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "Cache-Control: max-age=0, no-cache, private\r\n"
    "\r\n";
static_assert(kRequest.size() == 670);

constexpr int kBatches = 200;
constexpr int kRequests = 2'000;

// Scanning, the copy into the arena and parsing: what a connection does for each request.
std::size_t read_once() {
  http::h1::HeadScanner scanner(http::h1::Kind::request, {});
  const auto length = scanner.scan(kRequest);
  if (!length) return 0;
  Arena arena;
  const auto head = http::h1::parse_request(arena.copy(kRequest.substr(0, *length)), arena, {});
  return head ? head->fields.size() : 0;
}

}  // namespace

int main() {
  std::array<double, kBatches> costs{};
  for (double& cost : costs) {
    std::size_t fields = 0;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kRequests; ++i) fields += read_once();
    const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - begin;
    if (fields != std::size_t{12} * kRequests) {
      std::fputs("the request was not read\n", stderr);
      return 1;
    }
    cost = spent.count() / kRequests;
  }
  std::sort(costs.begin(), costs.end());
  std::printf("request of %zu bytes, 12 fields: %.0f ns least, %.0f ns median\n", kRequest.size(),
              costs.front(), costs[kBatches / 2]);
  return 0;
}
