#pragma once
// How many descriptors the process may open.

#include <cstddef>
#include <cstdint>
#include <string>

#include "revproxyd/app/settings.h"

namespace revproxyd::app {

/// Raises the soft limit to the hard one (RLIMIT_NOFILE), as servers may: the low one that shells
/// give is for programs that use select(2).
void raise_descriptor_limit() noexcept;

/// Opens those of standard input, output and error that were closed on nothing, so that no other
/// file gets their number and with it what is meant for them. Before anything else is opened.
void occupy_standard_descriptors() noexcept;

/// Says what is missing when `limits.connections` may need more descriptors than there can be;
/// empty when there are enough. A proxied request holds two, and a worker some for pipes.
std::string descriptor_shortage(const Settings& settings, std::size_t workers);

}  // namespace revproxyd::app
