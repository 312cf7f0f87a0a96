#pragma once
// The admin socket: one verb a connection, a line in, a verdict out.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "app/inherited.h"
#include "app/socket_file.h"
#include "revproxyd/base/cancel.h"
#include "revproxyd/base/result.h"
#include "revproxyd/base/task_group.h"
#include "revproxyd/net/listener.h"
#include "revproxyd/net/transport.h"

namespace revproxyd::app {

struct Verdict {
  bool ok = true;
  std::string text;  // shown to the operator
};

/// Serves the socket on the current loop. `execute` runs a verb to its end; it owns the verb.
class ControlServer {
 public:
  using Execute = std::function<Task<Verdict>(std::string verb)>;
  /// `inherited` is a socket that listens at `path` already, if it is one.
  static Result<std::unique_ptr<ControlServer>> open(const std::string& path,
                                                     InheritedAdmin inherited, Execute execute);
  ~ControlServer();

  /// Makes the socket anew if its file is lost. When that fails all stays as it was. One whose file
  /// was never seen stays beside the new one.
  Result<void> restore();
  /// Says once when the file is lost.
  void look_for_file();

  /// Another process serves the socket from now on; who is connected still gets an answer.
  void hand_over() noexcept;
  void stop() noexcept;
  bool stopped() const noexcept { return tasks_.size() + accepting_.size() == 0; }
  /// What a successor knows the socket by.
  std::string_view label() const noexcept { return held_ ? kHeldAdmin : kOwnAdmin; }
  /// The listening socket, for a successor; -1 when there is none that can be reached.
  int fd() const noexcept;

 private:
  ControlServer(std::string path, Execute execute);
  Result<void> listen_anew();
  Result<void> listen(net::Descriptor socket, bool inherited);
  Task<void> accept_loop(std::unique_ptr<net::Listener> listener);
  bool make_room() noexcept;
  Task<void> serve(net::Accepted accepted);
  Task<Result<std::string>> next_verb(net::Transport& transport);

  std::string path_;
  net::Listener* listener_ = nullptr;  // the latest, its loop's
  SocketFile file_;
  bool held_ = false;  // see InheritedAdmin
  Execute execute_;
  std::deque<CancelScope*> silent_;  // connections that have yet to ask, in the order of coming
  TaskGroup accepting_;
  TaskGroup tasks_;
};

/// `revproxyd ctl VERB`: asks the daemon at `path` and prints its answer. An exit code.
int ask_daemon(const std::string& path, const std::string& verb);

}  // namespace revproxyd::app
