#pragma once
// The connections of a worker that wait for their next request, so that those which wait for long
// give back what serves them.

#include <cstddef>

#include "revproxyd/base/deadline.h"
#include "revproxyd/base/units.h"

namespace revproxyd::http {

/// One per worker. Longest first: a connection rests when it has been idle for limits::kRestAfter,
/// or at once when more than limits::kMostAwake are idle and it is the first of them. Of a busy
/// worker few connections ever rest, and of many idle ones nearly all do.
class IdleList {
 public:
  class Entry {
   public:
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   protected:
    Entry() noexcept = default;
    virtual ~Entry() { leave(); }
    /// Enters at the end; null: it never rests.
    void enter(IdleList* list) noexcept;
    void leave() noexcept;
    /// It is to rest, and out of the list already. Must not destroy anything inline.
    virtual void on_long_idle() noexcept = 0;

   private:
    friend class IdleList;
    IdleList* list_ = nullptr;
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
    TimePoint since_{};
  };

  IdleList() noexcept : tick_(*this, &IdleList::rest_old) {}
  IdleList(const IdleList&) = delete;
  IdleList& operator=(const IdleList&) = delete;

  std::size_t size() const noexcept { return size_; }

 private:
  void rest_old();
  void rest_first() noexcept;

  Entry* head_ = nullptr;
  Entry* tail_ = nullptr;
  std::size_t size_ = 0;
  MemberTimer<IdleList> tick_;
};

}  // namespace revproxyd::http
