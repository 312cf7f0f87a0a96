#include "revproxyd/base/log_writer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/log_output.h"
#include "revproxyd/base/slab.h"
#include "revproxyd/base/thread.h"

namespace revproxyd {

namespace {

// Empty buffers that wait for batches to come, so that busy workers do not allocate: two that fill
// while two are written.
constexpr std::size_t kSpares = 4;
// Bytes that are copied into a batch that waits, under the lock.
constexpr std::size_t kFew = 16 * 1024;
// While a reader is behind, the writer looks up this often to report the loss.
constexpr int kBlockedTick_ms = 1000;
// What failed is tried again this often: nobody tells when a disk has room.
constexpr int kRetry_ms = 200;
// Beyond its limit flush_and_stop gives a system call in progress so long to return.
constexpr Duration kStopGrace{100};
// Lines longer than usual must not leave large buffers behind.
constexpr std::size_t kKeepCapacity = LogBatch::kSize;

std::uint64_t count_lines(Bytes lines) noexcept {
  return static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
}

// What no later try would write: a message of a socket that is too large for it.
bool is_hopeless(int error) noexcept { return error == EMSGSIZE || error == EINVAL; }

// What a batch takes of `pending_bytes`: its memory, so that many tiny ones are bounded too.
std::size_t cost_of(const Buffer& batch) noexcept { return batch.capacity(); }

}  // namespace

// Shared by the callers (all under `mutex`, the counters apart) and the writing thread, which alone
// touches the last block.
struct LogWriter::State {
  State(LogWriterOptions o, LogOutput out, int wake)
      : options(std::move(o)), wake_fd(wake), output(std::move(out)) {
    spares.reserve(kSpares);
  }
  ~State() { ::close(wake_fd); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void run();
  void wake() const noexcept;
  void woken() const noexcept;
  bool join(Bytes lines);
  bool take_in(Buffer& batch);
  bool take(std::vector<Buffer>& batches);
  void write_batch(const Buffer& batch);
  void batch_done(Buffer batch);
  bool adopt_output();
  bool wait_writable();
  bool wait_to_retry(int error);
  bool expired();
  void drop_piece(Bytes& rest, int error);
  void lose(Bytes rest, bool torn);
  bool may_tell_of_trouble();
  void tell(const std::string& what);
  std::string cause() const;
  void announce_trouble();
  void announce_recovery();

  const LogWriterOptions options;
  const int wake_fd;
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<std::size_t> pending_size{0};  // written under the mutex
  std::atomic<std::size_t> batch_count{0};   // of LogBatch

  std::mutex mutex;
  std::condition_variable progress;  // nothing pending, or ended
  std::vector<Buffer> pending;
  std::vector<Buffer> spares;
  std::optional<LogOutput> next_output;
  std::optional<TimePoint> stop_by;
  bool idle = false;
  bool ended = false;

  LogOutput output;
  bool torn_for_good = false;  // a stop has left half a line, behind which nothing may stand
  int last_error = 0;
  std::uint64_t announced = 0;
  bool trouble_announced = false;
  std::optional<TimePoint> last_report;
};

Result<std::unique_ptr<LogWriter>> LogWriter::open(LogWriterOptions options) {
  auto output = LogOutput::open(options.path);
  if (!output) return output.error();
  const int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) return Error(Code::system, "cannot make the log writer's event", errno);
  auto state = std::make_unique<State>(std::move(options), std::move(*output), wake);
  try {
    return std::unique_ptr<LogWriter>(new LogWriter(std::move(state)));
  } catch (const std::system_error& problem) {
    return Error(Code::system, "cannot start the log writer's thread", problem.code().value());
  }
}

LogWriter::LogWriter(std::unique_ptr<State> state) : state_(std::move(state)) {
  thread_ = thread_without_signals([state = state_.get()] { state->run(); });
}

LogWriter::~LogWriter() {
  flush_and_stop(Duration{0});
  // Still inside a system call, on a dead network disk perhaps. Waiting would hang the end of the
  // process: the state is left to the thread, for good.
  if (thread_.joinable()) {
    thread_.detach();
    ignore(state_.release(), "the detached thread uses it until the process ends");
  }
}

bool LogWriter::submit(Buffer& batch) {
  if (batch.empty()) return true;
  bool taken = false;
  bool wake = false;
  {
    const std::lock_guard lock(state_->mutex);
    taken = state_->join(batch.held()) || state_->take_in(batch);
    wake = taken && std::exchange(state_->idle, false);
  }
  if (wake) state_->wake();
  if (!taken) state_->dropped.fetch_add(count_lines(batch.held()), std::memory_order_relaxed);
  batch.clear();
  if (batch.capacity() > kKeepCapacity) batch.release();
  return taken;
}

bool LogWriter::submit(Bytes lines) {
  Buffer batch;
  batch.append(lines);
  return submit(batch);
}

std::uint64_t LogWriter::dropped_lines() const noexcept {
  return state_->dropped.load(std::memory_order_relaxed);
}

std::size_t LogWriter::pending_bytes() const noexcept {
  return state_->pending_size.load(std::memory_order_relaxed);
}

// All workers may hand over in the same moment.
void LogWriter::admit_batch() noexcept {
  state_->batch_count.fetch_add(1, std::memory_order_relaxed);
}

void LogWriter::dismiss_batch() noexcept {
  state_->batch_count.fetch_sub(1, std::memory_order_relaxed);
}

Result<void> LogWriter::reopen() {
  auto output = LogOutput::open(state_->options.path);
  if (!output) return output.error();
  {
    const std::lock_guard lock(state_->mutex);
    state_->next_output = std::move(*output);
  }
  state_->wake();
  return {};
}

bool LogWriter::flush(Duration limit) {
  std::unique_lock lock(state_->mutex);
  return state_->progress.wait_for(lock, limit, [this] { return state_->pending_size == 0; });
}

void LogWriter::flush_and_stop(Duration limit) {
  if (!thread_.joinable()) return;
  std::unique_lock lock(state_->mutex);
  state_->stop_by = Clock::now() + limit;
  state_->wake();
  const bool ended =
      state_->progress.wait_for(lock, limit + kStopGrace, [this] { return state_->ended; });
  lock.unlock();
  if (ended) thread_.join();
}

void LogWriter::State::wake() const noexcept {
  const std::uint64_t one = 1;
  ignore(::write(wake_fd, &one, sizeof one),
         "the event can only be full, and then the thread wakes anyway");
}

void LogWriter::State::woken() const noexcept {
  std::uint64_t count = 0;
  ignore(::read(wake_fd, &count, sizeof count), "only empties the event");
}

// Puts few lines behind what nobody has begun to write, so that they do not hold a buffer each.
bool LogWriter::State::join(Bytes lines) {
  if (stop_by || pending.empty() || lines.size() > kFew) return false;
  if (pending.back().room().size() < lines.size()) return false;
  pending.back().append(lines);
  return true;
}

// Takes the buffer and leaves a spare one, if there is any.
bool LogWriter::State::take_in(Buffer& batch) {
  const std::size_t size = pending_size.load(std::memory_order_relaxed) + cost_of(batch);
  const std::size_t of_batches = batch_count.load(std::memory_order_relaxed) * LogBatch::kSize;
  if (stop_by || size > options.pending_bytes + of_batches) return false;
  pending.push_back(std::move(batch));
  pending_size.store(size, std::memory_order_relaxed);
  if (!spares.empty()) {
    batch = std::move(spares.back());
    spares.pop_back();
  }
  return true;
}

void LogWriter::State::run() {
  std::vector<Buffer> batches;
  while (take(batches)) {
    for (Buffer& batch : batches) {
      write_batch(batch);
      batch_done(std::move(batch));
    }
    batches.clear();
  }
  // The last word, however soon.
  if (dropped.load(std::memory_order_relaxed) != announced) tell(cause());
  slab::trim();
  const std::lock_guard lock(mutex);
  ended = true;
  progress.notify_all();
}

// Waits for batches and moves them into `batches`, which is empty; false when the writer is to stop
// and all is taken.
bool LogWriter::State::take(std::vector<Buffer>& batches) {
  for (;;) {
    adopt_output();
    {
      const std::lock_guard lock(mutex);
      if (!pending.empty()) {
        batches.swap(pending);
        return true;
      }
      if (stop_by) return false;
      idle = !next_output;
      if (!idle) continue;
    }
    pollfd entry{wake_fd, POLLIN, 0};
    ::poll(&entry, 1, -1);
    woken();
  }
}

void LogWriter::State::batch_done(Buffer batch) {
  const std::size_t cost = cost_of(batch);
  batch.clear();
  bool kept = false;
  {
    const std::lock_guard lock(mutex);
    kept = batch.capacity() <= kKeepCapacity && spares.size() < kSpares;
    if (kept) spares.push_back(std::move(batch));
    const std::size_t left = pending_size.load(std::memory_order_relaxed) - cost;
    pending_size.store(left, std::memory_order_relaxed);
    if (left == 0) progress.notify_all();
  }
  if (kept) return;
  batch.release();
  // This thread hardly allocates: its free lists would only hold on to it.
  slab::trim();
}

// What fails is kept and tried again until it is written or the writer has to stop.
void LogWriter::State::write_batch(const Buffer& batch) {
  Bytes rest = batch.held();
  bool torn = false;
  while (!rest.empty()) {
    const bool adopted = adopt_output();
    if (adopted) torn_for_good = false;
    if (adopted && torn) {
      // Its front is in the old file; the rest would be no line in the new one.
      rest.remove_prefix(rest.find('\n') + 1);
      dropped.fetch_add(1, std::memory_order_relaxed);
      torn = false;
      continue;
    }
    if (torn_for_good || expired()) return lose(rest, torn);
    const ssize_t size = output.write(output.piece(rest));
    if (size > 0) {
      torn = rest[static_cast<std::size_t>(size) - 1] != '\n';
      rest.remove_prefix(static_cast<std::size_t>(size));
    } else if (size == -EAGAIN) {
      if (!wait_writable()) return lose(rest, torn);
      announce_trouble();
    } else if (is_hopeless(static_cast<int>(-size))) {
      drop_piece(rest, static_cast<int>(-size));
    } else if (!wait_to_retry(size == 0 ? EIO : static_cast<int>(-size))) {
      return lose(rest, torn);
    }
  }
  announce_recovery();
}

// Goes over to the file that reopen() brought, if it did.
bool LogWriter::State::adopt_output() {
  std::optional<LogOutput> next;
  {
    const std::lock_guard lock(mutex);
    next.swap(next_output);
  }
  if (!next) return false;
  output = std::move(*next);
  return true;
}

// True when there is a reason to try again; false when the time to stop has come.
bool LogWriter::State::wait_writable() {
  int timeout = kBlockedTick_ms;
  {
    const std::lock_guard lock(mutex);
    if (stop_by) {
      const auto left = std::chrono::ceil<Duration>(*stop_by - Clock::now()).count();
      if (left <= 0) return false;
      timeout = static_cast<int>(std::min<std::int64_t>(left, kBlockedTick_ms));
    }
  }
  std::array<pollfd, 2> entries{pollfd{output.fd(), POLLOUT, 0}, pollfd{wake_fd, POLLIN, 0}};
  ::poll(entries.data(), entries.size(), timeout);
  if (entries[1].revents != 0) woken();
  return true;
}

// The same after a failure. Who stops does not wait for a disk to be mended.
bool LogWriter::State::wait_to_retry(int error) {
  last_error = error;
  announce_trouble();
  {
    const std::lock_guard lock(mutex);
    if (stop_by) return false;
  }
  pollfd entry{wake_fd, POLLIN, 0};
  if (::poll(&entry, 1, kRetry_ms) > 0) woken();
  return true;
}

bool LogWriter::State::expired() {
  const std::lock_guard lock(mutex);
  return stop_by && Clock::now() >= *stop_by;
}

void LogWriter::State::drop_piece(Bytes& rest, int error) {
  const Bytes piece = output.piece(rest);
  dropped.fetch_add(count_lines(piece), std::memory_order_relaxed);
  rest.remove_prefix(piece.size());
  last_error = error;
  announce_trouble();
}

void LogWriter::State::lose(Bytes rest, bool torn) {
  torn_for_good = torn_for_good || torn;
  dropped.fetch_add(count_lines(rest), std::memory_order_relaxed);
  announce_trouble();
}

bool LogWriter::State::may_tell_of_trouble() {
  const TimePoint now = Clock::now();
  if (last_report && now - *last_report < options.report_interval) return false;
  last_report = now;
  return true;
}

void LogWriter::State::tell(const std::string& what) {
  announced = dropped.load(std::memory_order_relaxed);
  if (options.report)
    options.report("log " + options.path + ": " + what +
                   "; lines lost so far: " + std::to_string(announced));
}

std::string LogWriter::State::cause() const {
  if (last_error == 0) return "lines come faster than they are taken";
  return std::generic_category().message(last_error);
}

void LogWriter::State::announce_trouble() {
  if (dropped.load(std::memory_order_relaxed) == announced && last_error == 0) return;
  if (!may_tell_of_trouble()) return;
  trouble_announced = true;
  tell(cause());
}

// A trouble that came too soon after the last report is told of later, with the cause that it had.
void LogWriter::State::announce_recovery() {
  if (std::exchange(trouble_announced, false)) {
    last_error = 0;
    return tell("writing again");
  }
  const bool untold = dropped.load(std::memory_order_relaxed) != announced;
  if (untold && last_error != 0) {
    if (!may_tell_of_trouble()) return;
    tell("writing again after: " + cause());
  }
  last_error = 0;
  announce_trouble();
}

void LogBatch::append(Bytes line) {
  lines_.append(line);
  lines_.append('\n');
  line_done();
}

void LogBatch::flush() { ignore(writer_.submit(lines_), "the writer counts what it drops"); }

}  // namespace revproxyd
