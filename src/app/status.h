#pragma once
// What `ctl status` prints.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/build.h"
#include "app/sockets.h"
#include "app/worker.h"

namespace revproxyd::app {

/// Of the supervisor; the references are used within the call.
struct StatusView {
  std::string_view phase;  // serving, ...
  std::uint64_t generation = 0;
  TimePoint started;
  const std::vector<std::unique_ptr<Worker>>& workers;
  const std::map<std::string, ListeningSockets::Open>& open;
  const Built& built;
};

/// Lines for people; they may change. Scripts use `stats`.
std::string status_text(const StatusView& view);

}  // namespace revproxyd::app
