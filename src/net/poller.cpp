#include "net/poller.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>

namespace revproxyd::net {

Poller::Poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::system_category(), "epoll_create1");
}

Poller::~Poller() { ::close(fd_); }

Result<void> Poller::add(int fd, Readiness& readiness) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &readiness;
  if (::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    return Error(Code::system, "cannot register a socket", errno);
  }
  return {};
}

void Poller::remove(int fd, Readiness& readiness) noexcept {
  // A coroutine resumed by an earlier event of this batch may close a socket that a later one still
  // names.
  for (std::size_t i = next_; i < count_; ++i) {
    if (events_[i].data.ptr == &readiness) events_[i].data.ptr = nullptr;
  }
  ::epoll_ctl(fd_, EPOLL_CTL_DEL, fd, nullptr);
}

std::size_t Poller::poll(Duration wait) noexcept {
  const auto most = static_cast<Duration::rep>(std::numeric_limits<int>::max());
  const int timeout = static_cast<int>(std::clamp<Duration::rep>(wait.count(), 0, most));
  const int got = ::epoll_wait(fd_, events_.data(), static_cast<int>(events_.size()), timeout);
  next_ = 0;
  count_ = got > 0 ? static_cast<std::size_t>(got) : 0;
  return count_;
}

void Poller::dispatch() noexcept {
  while (next_ < count_) {
    const epoll_event& event = events_[next_++];
    if (event.data.ptr == nullptr) continue;
    const std::uint32_t bits = event.events;
    static_cast<Readiness*>(event.data.ptr)
        ->notify((bits & EPOLLIN) != 0, (bits & EPOLLOUT) != 0,
                 (bits & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
  }
  next_ = count_ = 0;
}

}  // namespace revproxyd::net
