#pragma once
// Which streams there have been on a connection: what may still come for those that are over.

#include <optional>
#include <vector>

#include "http/h2/terms.h"

namespace revproxyd::http::h2 {

/// Of the streams that the peer opened. Bounded: remembers the latest 256 resets, and one run of
/// ids that were left out; what it does not know it takes for lawful.
class StreamHistory {
 public:
  /// RFC 9113 section 5.1.1: what lies between two ids can never be opened.
  void note_opened(StreamId id) noexcept;
  /// This side has reset it, so frames of it may still be on their way.
  void note_reset(StreamId id);

  StreamId last_opened() const noexcept { return last_opened_; }
  bool was_reset(StreamId id) const noexcept;
  /// It may have been reset, too long ago to be known.
  bool forgot(StreamId id) const noexcept { return id <= forgotten_resets_; }
  /// What is wrong with DATA or HEADERS for a stream that is not open now (RFC 9113 section 5.1);
  /// nothing for one that is new.
  std::optional<ErrorCode> fault_of_frame(StreamId id) const noexcept;

 private:
  StreamId last_opened_ = 0;
  StreamId skipped_from_ = 0;
  StreamId skipped_to_ = 0;
  std::vector<StreamId> resets_;   // oldest first
  StreamId forgotten_resets_ = 0;  // ids up to here may have been reset too
};

}  // namespace revproxyd::http::h2
