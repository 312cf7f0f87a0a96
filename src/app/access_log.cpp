#include "app/access_log.h"

#include <utility>

namespace revproxyd::app {

void AccessLog::replace(std::shared_ptr<LogWriter> next) {
  if (next == writer_) return;
  if (writer_ != nullptr) former_.push_back(std::move(writer_));
  writer_ = std::move(next);
}

void AccessLog::let_go(Duration limit) {
  for (const auto& writer : former_) {
    writer->flush_and_stop(limit);
    dropped_before_ += writer->dropped_lines();
  }
  former_.clear();
}

std::uint64_t AccessLog::dropped_lines() const noexcept {
  std::uint64_t lines = dropped_before_;
  for (const auto& writer : former_) lines += writer->dropped_lines();
  if (writer_ != nullptr) lines += writer_->dropped_lines();
  return lines;
}

}  // namespace revproxyd::app
