#include "revproxyd/base/task_group.h"

#include <cstdio>
#include <exception>

namespace revproxyd {

namespace detail {

void child_done(TaskGroup& group) noexcept {
  --group.children_;
  if (group.children_ == 0 && group.joiner_ != nullptr) group.joiner_->wake();
}

}  // namespace detail

TaskGroup::~TaskGroup() {
  if (children_ == 0) return;
  std::fputs("task group destroyed before its children ended\n", stderr);
  std::terminate();
}

void TaskGroup::spawn(Task<void> task) noexcept {
  auto handle = task.release();
  if (!handle) return;
  auto& promise = handle.promise();
  promise.group = this;
  if (promise.scope == nullptr) promise.scope = &scope_;
  ++children_;
  handle.resume();
}

}  // namespace revproxyd
