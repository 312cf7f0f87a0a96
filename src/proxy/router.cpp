#include "revproxyd/proxy/router.h"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>

#include "proxy/conditions.h"
#include "proxy/host_table.h"
#include "proxy/path_trie.h"
#include "revproxyd/filters/regex.h"

namespace revproxyd::proxy {

// Every alternative has a rank, its place in the order of precedence. The tables turn host and path
// into short lists of ranks; the answer is the lowest rank of them whose conditions hold. Whichever
// list is looked at first, nothing but the rank decides, so that a priority may lift an any-host
// route over an exact one.
class Router::Index {
 public:
  explicit Index(const std::vector<RouteSettings>& routes);

  std::optional<std::size_t> match(const MatchInput& input) const noexcept;

 private:
  static constexpr std::uint32_t kNone = NameTable::kNone;

  struct Candidate {  // by rank
    std::uint32_t route;
    std::uint32_t conditions;  // kNone: none to check
  };
  struct RegexPath {
    std::uint32_t rank;
    const re2::RE2* regex;  // in programs_
  };
  // By number of the host table; small, for there may be thousands. Its part of regexes_ and of
  // any_path_ begins at the index here and ends where that of the next set begins.
  struct HostSet {
    std::uint32_t first_rank = kNone;
    PathTrie::Node root = kNone;
    std::uint32_t regexes = 0;
    std::uint32_t any_path = 0;
  };
  struct Lists {  // of one set, while building
    std::vector<RegexPath> regexes;
    std::vector<std::uint32_t> any_path;
  };
  struct Search {
    const MatchInput& input;
    std::uint32_t best = kNone;
  };

  bool add(const Alternative& alternative, std::uint32_t rank, std::vector<Lists>& lists);
  const re2::RE2* program_of(const std::string& regex);
  void join(std::vector<Lists>& lists);
  bool holds(std::uint32_t rank, const MatchInput& input) const noexcept;
  void search_list(std::span<const std::uint32_t> ranks, Search& search) const noexcept;
  void search_set(const HostSet* set, Search& search) const noexcept;

  HostTable hosts_;
  // By its text: a route compiles one for all its hosts.
  std::unordered_map<std::string, std::unique_ptr<const re2::RE2>> programs_;
  std::vector<HostSet> sets_;            // and one more, which ends the last
  std::vector<RegexPath> regexes_;       // of each set ascending by rank
  std::vector<std::uint32_t> any_path_;  // of each set ascending
  PathTrie paths_;
  std::vector<Candidate> candidates_;
  std::vector<Conditions> conditions_;
};

Router::Index::Index(const std::vector<RouteSettings>& routes) {
  std::vector<std::uint32_t> conditions_of(routes.size(), kNone);
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (condition_count(routes[i].match) == 0) continue;
    conditions_of[i] = static_cast<std::uint32_t>(conditions_.size());
    try {
      conditions_.emplace_back(routes[i].match);
    } catch (const std::invalid_argument& problem) {
      throw std::invalid_argument("route " + routes[i].name + ": " + problem.what());
    }
  }
  const std::vector<Alternative> order = precedence(routes);
  if (order.size() >= kNone)
    throw std::invalid_argument("too many alternatives of hosts and paths");
  candidates_.reserve(order.size());
  std::vector<Lists> lists;
  for (const Alternative& alternative : order) {
    const auto rank = static_cast<std::uint32_t>(candidates_.size());
    if (!add(alternative, rank, lists)) {
      throw std::invalid_argument("route " + routes[alternative.route].name +
                                  ": bad regex: " + alternative.path.text);
    }
    candidates_.push_back(
        {static_cast<std::uint32_t>(alternative.route), conditions_of[alternative.route]});
  }
  paths_.freeze();
  join(lists);
}

// False for a regex that does not compile.
bool Router::Index::add(const Alternative& alternative, std::uint32_t rank,
                        std::vector<Lists>& lists) {
  const std::uint32_t number = hosts_.add(alternative.host);
  if (number == sets_.size()) {
    sets_.emplace_back();
    lists.emplace_back();
  }
  HostSet& set = sets_[number];
  if (set.first_rank == kNone) set.first_rank = rank;
  switch (alternative.path.kind) {
    case PathKind::any: lists[number].any_path.push_back(rank); break;
    case PathKind::regex:
      lists[number].regexes.push_back({rank, program_of(alternative.path.text)});
      return lists[number].regexes.back().regex->ok();
    case PathKind::exact:
    case PathKind::prefix:
    case PathKind::glob:
      if (set.root == kNone) set.root = paths_.add_root();
      paths_.add(set.root, alternative.path, rank);
      break;
  }
  return true;
}

const re2::RE2* Router::Index::program_of(const std::string& regex) {
  auto& program = programs_[regex];
  if (program == nullptr) program = filters::compile_regex(regex);
  return program.get();
}

void Router::Index::join(std::vector<Lists>& lists) {
  sets_.emplace_back();
  for (std::size_t i = 0; i < sets_.size(); ++i) {
    sets_[i].regexes = static_cast<std::uint32_t>(regexes_.size());
    sets_[i].any_path = static_cast<std::uint32_t>(any_path_.size());
    if (i == lists.size()) return;
    regexes_.insert(regexes_.end(), lists[i].regexes.begin(), lists[i].regexes.end());
    any_path_.insert(any_path_.end(), lists[i].any_path.begin(), lists[i].any_path.end());
  }
}

std::optional<std::size_t> Router::Index::match(const MatchInput& input) const noexcept {
  Search search{input};
  for (const std::uint32_t number : hosts_.find(input.head.host)) {
    if (number != kNone) search_set(&sets_[number], search);
  }
  if (search.best == kNone) return std::nullopt;
  return candidates_[search.best].route;
}

void Router::Index::search_set(const HostSet* set, Search& search) const noexcept {
  if (set->first_rank >= search.best) return;
  const HostSet* next = set + 1;
  const std::string_view path = search.input.head.path;
  if (set->root != kNone) {
    paths_.walk(set->root, path,
                [&](std::span<const std::uint32_t> ranks) { search_list(ranks, search); });
  }
  for (std::uint32_t i = set->regexes; i < next->regexes && regexes_[i].rank < search.best; ++i) {
    // The conditions are cheaper than the regex and rule out most.
    if (!holds(regexes_[i].rank, search.input)) continue;
    if (re2::RE2::PartialMatch(path, *regexes_[i].regex)) search.best = regexes_[i].rank;
  }
  search_list({any_path_.data() + set->any_path, next->any_path - set->any_path}, search);
}

void Router::Index::search_list(std::span<const std::uint32_t> ranks,
                                Search& search) const noexcept {
  for (const std::uint32_t rank : ranks) {
    if (rank >= search.best) return;
    if (holds(rank, search.input)) search.best = rank;
  }
}

bool Router::Index::holds(std::uint32_t rank, const MatchInput& input) const noexcept {
  const std::uint32_t conditions = candidates_[rank].conditions;
  return conditions == kNone || conditions_[conditions].hold(input);
}

Router::Router(const std::vector<RouteSettings>& routes)
    : index_(std::make_unique<const Index>(routes)) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

std::optional<std::size_t> Router::match(const MatchInput& input) const noexcept {
  return index_->match(input);
}

}  // namespace revproxyd::proxy
