#pragma once
// A network and mounts that belong to one test, so that it may do to them what it likes.

#include <functional>
#include <string>
#include <string_view>

namespace revproxyd::testing {

/// Runs `body` on a thread of its own that has, with the processes and threads begun in it, a
/// network of its own, with nothing but its loopback, and mounts of its own. False, without having
/// run it, where that is not allowed.
bool in_own_namespaces(const std::function<void()>& body);

// For such a body; all throw when they cannot.
/// Another content for a file of the system.
void replace_system_file(const std::string& path, const std::string& content_file);
/// An empty file system of so many bytes over a directory.
void mount_small_disk(const std::string& directory, std::size_t bytes);
/// A setting of the network: its file below /proc/sys/net.
void set_network(const std::string& name, std::string_view value);

}  // namespace revproxyd::testing
