#pragma once
// Threads beside the main one.

#include <functional>
#include <thread>

namespace revproxyd {

/// A thread to which no signal is delivered, from its first moment on: signals are the main
/// thread's, and a SIGPIPE of its own would be for nobody. Throws std::system_error when the system
/// gives none.
std::jthread thread_without_signals(std::function<void()> body);

}  // namespace revproxyd
