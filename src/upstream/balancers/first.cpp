// first: the first server of the file that can serve; the others wait for it to fail.

#include "upstream/balancers/methods.h"

namespace revproxyd::upstream {

namespace {

class First final : public Balancer {
 private:
  void reset() override {}
  std::size_t choose(std::span<const Candidate>, PickKey) noexcept override { return 0; }
};

}  // namespace

std::unique_ptr<Balancer> make_first(std::uint64_t /*seed*/) { return std::make_unique<First>(); }

}  // namespace revproxyd::upstream
