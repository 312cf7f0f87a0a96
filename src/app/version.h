#pragma once
// What -V says.

#include <string>

namespace revproxyd::app {

/// The version of the daemon and of the libraries that it runs with.
std::string version_text();

}  // namespace revproxyd::app
