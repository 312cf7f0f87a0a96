#include "revproxyd/tls/ticket_keys.h"

#include <openssl/crypto.h>

#include "revproxyd/tls/random.h"

namespace revproxyd::tls {

TicketKeys::~TicketKeys() {
  for (Entry& entry : entries_) OPENSSL_cleanse(&entry.key, sizeof entry.key);
}

TicketKeys::Key TicketKeys::current() {
  const std::lock_guard lock(mutex_);
  const TimePoint now = now_();
  drop_old(now);
  if (entries_.empty() || now - entries_.front().made >= kTurn) {
    Entry& entry = entries_.emplace_front();
    fill_random(entry.key.name);
    fill_random(entry.key.cipher);
    fill_random(entry.key.mac);
    entry.made = now;
  }
  return entries_.front().key;
}

std::optional<TicketKeys::Found> TicketKeys::find(const std::array<std::uint8_t, 16>& name) {
  const std::lock_guard lock(mutex_);
  const TimePoint now = now_();
  drop_old(now);
  for (const Entry& entry : entries_) {
    if (entry.key.name != name) continue;
    const bool current = &entry == &entries_.front() && now - entry.made < kTurn;
    return Found{entry.key, current};
  }
  return std::nullopt;
}

std::vector<TicketKeys::Entry> TicketKeys::entries() {
  const std::lock_guard lock(mutex_);
  drop_old(now_());
  return {entries_.begin(), entries_.end()};
}

void TicketKeys::adopt(const std::vector<Entry>& entries) {
  const std::lock_guard lock(mutex_);
  const TimePoint now = now_();
  for (const Entry& entry : entries) {
    const bool ordered = entries_.empty() || entry.made <= entries_.back().made;
    if (entry.made <= now && now - entry.made < kKept && ordered) entries_.push_back(entry);
  }
}

void TicketKeys::drop_old(TimePoint now) {
  while (!entries_.empty() && now - entries_.back().made >= kKept) {
    OPENSSL_cleanse(&entries_.back().key, sizeof(Key));
    entries_.pop_back();
  }
}

}  // namespace revproxyd::tls
