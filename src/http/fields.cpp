#include "revproxyd/http/fields.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <type_traits>
#include <utility>

#include "revproxyd/base/ascii.h"

namespace revproxyd::http {

namespace {

constexpr std::array<std::string_view, kFieldNameCount> kNames = {
    "",
    "Accept",
    "Accept-Encoding",
    "Age",
    "Alt-Svc",
    "Authorization",
    "Cache-Control",
    "Client-Cert",
    "Client-Cert-Chain",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Cookie",
    "Date",
    "ETag",
    "Expect",
    "Expires",
    "Forwarded",
    "Host",
    "HTTP2-Settings",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "Max-Forwards",
    "Origin",
    "Pragma",
    "Proxy",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Proxy-Status",
    "Range",
    "Referer",
    "Retry-After",
    "Server",
    "Set-Cookie",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "Vary",
    "Via",
    "WWW-Authenticate",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "X-Request-Id",
};

// A name as up to three words that overlap where its length is no multiple of theirs, so that words
// are compared and no characters.
constexpr std::size_t kShortest = 2;
constexpr std::size_t kLongest = 24;
constexpr std::size_t kWord = sizeof(std::uint64_t);

struct Words {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t middle = 0;
};

template <std::size_t bytes>
constexpr std::uint64_t load(const char* at) noexcept {
  std::uint64_t word = 0;
  if (std::is_constant_evaluated()) {
    for (std::size_t i = 0; i < bytes; ++i) {
      const auto byte = static_cast<std::uint64_t>(static_cast<unsigned char>(at[i]));
      const std::size_t place = std::endian::native == std::endian::little ? i : kWord - 1 - i;
      word |= byte << (8 * place);
    }
  } else {
    std::memcpy(&word, at, bytes);
  }
  return word;
}

// Of kShortest to kLongest bytes.
constexpr Words words_of(std::string_view text) noexcept {
  constexpr std::size_t kHalf = kWord / 2;
  const char* const begin = text.data();
  const std::size_t size = text.size();
  if (size >= kWord) {
    return {load<kWord>(begin), load<kWord>(begin + size - kWord),
            size > 2 * kWord ? load<kWord>(begin + kWord) : 0};
  }
  if (size >= kHalf) return {load<kHalf>(begin), load<kHalf>(begin + size - kHalf), 0};
  return {load<2>(begin), load<2>(begin + size - 2), 0};
}

constexpr std::size_t kSlotBits = 9;
constexpr std::size_t kSlots = std::size_t{1} << kSlotBits;

// A perfect hash. The multiplier is searched for by the compiler, so that a name added to the list
// above needs no work here. Bit 0x20 folds case; what else it folds together is told apart by the
// comparison that follows.
constexpr std::size_t slot_of(const Words& words, std::size_t size,
                              std::uint64_t multiplier) noexcept {
  constexpr std::uint64_t kFold = 0x2020202020202020;
  const std::uint64_t key = (words.first | kFold) + std::rotl(words.last | kFold, 23) + size;
  return static_cast<std::size_t>((key * multiplier) >> (64 - kSlotBits));
}

constexpr bool separates(std::uint64_t multiplier) noexcept {
  std::array<bool, kSlots> taken{};
  for (std::size_t i = 1; i < kNames.size(); ++i) {
    bool& slot = taken[slot_of(words_of(kNames[i]), kNames[i].size(), multiplier)];
    if (slot) return false;
    slot = true;
  }
  return true;
}

constexpr std::uint64_t find_multiplier() noexcept {
  std::uint64_t candidate = 0x9E3779B97F4A7C15;
  while (!separates(candidate)) candidate = candidate * 6364136223846793005 + 1442695040888963407;
  return candidate;
}

constexpr std::uint64_t kMultiplier = find_multiplier();

using LowerNames = std::array<std::array<char, kLongest>, kFieldNameCount>;

constexpr LowerNames make_lower_names() noexcept {
  LowerNames lower{};
  for (std::size_t i = 0; i < kNames.size(); ++i)
    std::ranges::transform(kNames[i], lower[i].begin(), ascii::to_lower);
  return lower;
}

constexpr LowerNames kLowerNames = make_lower_names();

// `text | letters == lower` holds for every case of the name and for nothing else.
struct Spelling {
  Words lower;
  Words letters;  // 0x20 where the name has a letter
  std::size_t size = 0;
};

constexpr Spelling spell(std::size_t index) noexcept {
  const std::string_view lower(kLowerNames[index].data(), kNames[index].size());
  std::array<char, kLongest> letters{};
  for (std::size_t i = 0; i < lower.size(); ++i)
    letters[i] = ascii::is_alpha(lower[i]) ? '\x20' : '\0';
  return {words_of(lower), words_of({letters.data(), lower.size()}), lower.size()};
}

struct Tables {
  std::array<std::uint8_t, kSlots> slots{};
  std::array<Spelling, kFieldNameCount> spellings{};  // of size 0 for `unknown`
};

constexpr Tables make_tables() noexcept {
  Tables tables;
  for (std::size_t i = 1; i < kNames.size(); ++i) {
    const std::size_t slot = slot_of(words_of(kNames[i]), kNames[i].size(), kMultiplier);
    tables.slots[slot] = static_cast<std::uint8_t>(i);
    tables.spellings[i] = spell(i);
  }
  return tables;
}

constexpr Tables kTables = make_tables();

constexpr bool lengths_hold() noexcept {
  for (std::size_t i = 1; i < kNames.size(); ++i) {
    if (kNames[i].size() < kShortest || kNames[i].size() > kLongest) return false;
  }
  return true;
}
static_assert(lengths_hold());

bool same_name(const Field& field, std::string_view name) noexcept {
  return field.known == FieldName::unknown && ascii::iequals(field.name, name);
}

}  // namespace

std::string_view name(FieldName field) noexcept { return kNames[static_cast<std::size_t>(field)]; }

std::string_view lower_name(FieldName field) noexcept {
  return {kLowerNames[static_cast<std::size_t>(field)].data(), name(field).size()};
}

FieldName lookup(std::string_view text) noexcept {
  if (text.size() < kShortest || text.size() > kLongest) return FieldName::unknown;
  const Words words = words_of(text);
  const std::size_t index = kTables.slots[slot_of(words, text.size(), kMultiplier)];
  const Spelling& known = kTables.spellings[index];
  const bool same = text.size() == known.size &&
                    (words.first | known.letters.first) == known.lower.first &&
                    (words.last | known.letters.last) == known.lower.last &&
                    (words.middle | known.letters.middle) == known.lower.middle;
  return same ? static_cast<FieldName>(index) : FieldName::unknown;
}

Fields::Fields(Fields&& other) noexcept
    : arena_(other.arena_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)),
      present_(std::exchange(other.present_, 0)) {}

Fields& Fields::operator=(Fields&& other) noexcept {
  if (this == &other) return *this;
  arena_ = other.arena_;
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  capacity_ = std::exchange(other.capacity_, 0);
  present_ = std::exchange(other.present_, 0);
  return *this;
}

const Field* Fields::find(FieldName field) const noexcept {
  if (!has(field)) return nullptr;
  for (const Field& candidate : *this) {
    if (candidate.known == field) return &candidate;
  }
  return nullptr;
}

const Field* Fields::find(std::string_view name) const noexcept {
  if (const FieldName known = lookup(name); known != FieldName::unknown) return find(known);
  for (const Field& candidate : *this) {
    if (same_name(candidate, name)) return &candidate;
  }
  return nullptr;
}

std::string_view Fields::get(FieldName field) const noexcept {
  const Field* found = find(field);
  return found == nullptr ? std::string_view{} : found->value;
}

std::string_view Fields::get(std::string_view name) const noexcept {
  const Field* found = find(name);
  return found == nullptr ? std::string_view{} : found->value;
}

std::size_t Fields::count(FieldName field) const noexcept {
  if (!has(field)) return 0;
  std::size_t count = 0;
  for (const Field& candidate : *this) count += candidate.known == field ? 1 : 0;
  return count;
}

std::string_view Fields::join(FieldName field, std::string_view separator,
                              std::string_view last) const {
  if (!has(field)) return last;
  // How many there are is the sender's choice: a join for each would be quadratic.
  std::size_t size = 0;
  std::string_view only;
  const auto each = [&](auto take) {
    for (const Field& candidate : *this) {
      if (candidate.known == field && !candidate.value.empty()) take(candidate.value);
    }
    if (!last.empty()) take(last);
  };
  each([&](std::string_view value) {
    size += (size == 0 ? 0 : separator.size()) + value.size();
    only = value;
  });
  if (size == only.size()) return only;
  char* const text = arena_->text(size);
  char* at = text;
  each([&](std::string_view value) {
    if (at != text) at = std::ranges::copy(separator, at).out;
    at = std::ranges::copy(value, at).out;
  });
  return {text, size};
}

bool Fields::replace(const Field& by) {
  bool placed = false;
  remove_if([&](const Field& candidate) {
    const bool same = by.known == FieldName::unknown ? same_name(candidate, by.name)
                                                     : candidate.known == by.known;
    if (!same) return false;
    if (placed) return true;
    placed = true;
    // The list is ours to change; only the predicate sees it as const.
    data_[&candidate - data_] = by;
    return false;
  });
  return placed;
}

void Fields::set(std::string_view name, std::string_view value) {
  if (const FieldName known = lookup(name); known != FieldName::unknown) return set(known, value);
  const Field field{name, value, FieldName::unknown};
  if (!replace(field)) append(field);
}

std::size_t Fields::take_out(FieldNames names) noexcept {
  return remove_if([names](const Field& candidate) { return holds(names, candidate.known); });
}

std::size_t Fields::remove(std::string_view name) noexcept {
  if (const FieldName known = lookup(name); known != FieldName::unknown) return remove(known);
  return remove_if([name](const Field& candidate) { return same_name(candidate, name); });
}

Fields Fields::clone_into(Arena& arena) const {
  Fields copy(arena);
  for (const Field& field : *this) {
    const std::string_view spelling =
        field.name.data() == http::name(field.known).data() ? field.name : arena.copy(field.name);
    copy.append({spelling, arena.copy(field.value), field.known});
  }
  return copy;
}

void Fields::grow() {
  static_assert(std::is_trivially_copyable_v<Field>);
  constexpr std::uint32_t kFirst = 16;
  const std::uint32_t capacity = capacity_ == 0 ? kFirst : capacity_ * 2;
  auto* data = static_cast<Field*>(arena_->allocate(capacity * sizeof(Field), alignof(Field)));
  if (size_ != 0) std::memcpy(static_cast<void*>(data), data_, size_ * sizeof(Field));
  data_ = data;
  capacity_ = capacity;
}

}  // namespace revproxyd::http
