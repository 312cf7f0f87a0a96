#pragma once
// The factories that the registry lists, one a file of this folder.

#include <cstdint>
#include <memory>

#include "revproxyd/upstream/balancer.h"

namespace revproxyd::upstream {

std::unique_ptr<Balancer> make_first(std::uint64_t seed);
std::unique_ptr<Balancer> make_hash(std::uint64_t seed);
std::unique_ptr<Balancer> make_least_request(std::uint64_t seed);
std::unique_ptr<Balancer> make_random(std::uint64_t seed);
std::unique_ptr<Balancer> make_round_robin(std::uint64_t seed);

}  // namespace revproxyd::upstream
