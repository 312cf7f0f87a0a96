#pragma once
// The access log of the process, over changes of the file that it is written to.

#include <cstdint>
#include <memory>
#include <vector>

#include "revproxyd/base/log_writer.h"

namespace revproxyd::app {

/// Belongs to the main thread; workers share the writers.
class AccessLog {
 public:
  /// What is written to now; null when there is no access log.
  const std::shared_ptr<LogWriter>& writer() const noexcept { return writer_; }
  /// Workers get `next`. What they still bring to the one before is written by let_go().
  void replace(std::shared_ptr<LogWriter> next);
  /// Every worker has the writer of now: those before get `limit` each to write what they hold.
  void let_go(Duration limit);
  /// Lines lost since the start of the process, by any writer.
  std::uint64_t dropped_lines() const noexcept;

 private:
  std::shared_ptr<LogWriter> writer_;
  std::vector<std::shared_ptr<LogWriter>> former_;
  std::uint64_t dropped_before_ = 0;  // by writers that are gone
};

}  // namespace revproxyd::app
