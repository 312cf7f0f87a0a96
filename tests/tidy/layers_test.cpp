// Who may include whom, and who may include which library.

#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include "tests/tidy/source.h"

namespace revproxyd::tidy {

namespace {

std::optional<int> layer_of(const std::string& module) {
  static const std::map<std::string, int> kLayers{
      {"base", 0},     {"config", 1}, {"net", 2},     {"tls", 3},   {"http", 4}, {"pipeline", 5},
      {"upstream", 5}, {"cache", 5},  {"filters", 6}, {"proxy", 7}, {"app", 8}};
  const auto found = kLayers.find(module);
  if (found == kLayers.end()) return std::nullopt;
  return found->second;
}

// "net/poller.h" is a public header of net, "net/socket_transport.h" a private one.
struct Target {
  std::string module;
  bool is_public = false;
};
Target target_of(const Include& include) {
  const bool is_public = include.name.starts_with("revproxyd/");
  return {module_of((is_public ? "include/" : "src/") + include.name), is_public};
}

Findings layering(const Source& file) {
  Findings findings;
  const std::string from = module_of(file.path);
  const auto own_layer = layer_of(from);
  if (!own_layer) return {{file.path, 0, "belongs to no module of the layers"}};
  for (const Include& include : includes_of(file.text)) {
    if (!include.quoted) continue;
    const Target to = target_of(include);
    const auto layer = layer_of(to.module);
    if (!layer) {
      findings.push_back({file.path, include.line, "includes no module: " + include.name});
    } else if (to.module != from && *layer >= *own_layer) {
      findings.push_back({file.path, include.line, from + " may not include " + to.module});
    }
  }
  return findings;
}

Findings private_headers(const Source& file) {
  Findings findings;
  for (const Include& include : includes_of(file.text)) {
    if (!include.quoted) continue;
    const Target to = target_of(include);
    if (to.is_public || to.module.empty()) continue;
    if (to.module != module_of(file.path)) {
      findings.push_back(
          {file.path, include.line, "private header of another module: " + include.name});
    } else if (file.path.starts_with("include/")) {
      findings.push_back(
          {file.path, include.line, "a public header includes a private one: " + include.name});
    }
  }
  return findings;
}

struct Door {
  const char* header;                // how the name in the include begins
  std::vector<std::string> allowed;  // how the path of who includes it begins
};

Findings doors(const Source& file) {
  static const std::vector<Door> kDoors{
      {"yaml-cpp/", {"src/config/"}},
      {"spdlog/", {"src/base/log.cpp"}},
      {"openssl/", {"src/tls/"}},
      {"nghttp2/", {"src/http/h2/", "src/app/version.cpp"}},
      {"boost/", {"src/net/"}},
      {"ares", {"src/net/"}},
      {"re2/", {"src/filters/", "src/proxy/", "include/revproxyd/filters/"}},
  };
  Findings findings;
  for (const Include& include : includes_of(file.text)) {
    if (include.name == "boost/asio.hpp")
      findings.push_back({file.path, include.line, "all of Asio included"});
    for (const Door& door : kDoors) {
      if (include.quoted || !include.name.starts_with(door.header)) continue;
      bool allowed = false;
      for (const std::string& prefix : door.allowed)
        allowed = allowed || file.path.starts_with(prefix);
      if (!allowed)
        findings.push_back(
            {file.path, include.line, "the door to <" + include.name + "> is elsewhere"});
    }
  }
  return findings;
}

// A public header earns its place when another module includes it, or a public header that did.
Findings dead_headers(const std::vector<Source>& files) {
  std::map<std::string, std::vector<std::string>> includes;  // of each file: the public headers
  for (const Source& file : files) {
    for (const Include& include : includes_of(file.text)) {
      const Target to = target_of(include);
      if (!include.quoted || !to.is_public) continue;
      includes[file.path].push_back("include/" + include.name);
    }
  }
  std::set<std::string> alive;
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [path, headers] : includes) {
      for (const std::string& header : headers) {
        if (module_of(header) == module_of(path) && !alive.contains(path)) continue;
        grew = alive.insert(header).second || grew;
      }
    }
  }
  Findings findings;
  for (const Source& file : files) {
    if (!file.path.starts_with("include/") || alive.contains(file.path)) continue;
    if (module_of(file.path) == "app") continue;  // nobody stands above it; tests do, beside it
    findings.push_back({file.path, 0, "public, but no other module includes it: move it to src/"});
  }
  return findings;
}

Findings over_product(Findings (*rule)(const Source&)) {
  Findings findings;
  for (const Source& file : product_code()) append(findings, rule(file));
  return findings;
}

}  // namespace

TEST(TidyLayers, SourcesIncludeOnlyLowerLayers) {
  const Findings findings = over_product(layering);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyLayers, RuleSeesUpwardAndSidewardIncludes) {
  EXPECT_EQ(layering({"src/net/a.cpp", "#include \"revproxyd/http/head.h\"\n"}).size(), 1U);
  EXPECT_EQ(
      layering({"src/upstream/a.cpp", "\n#include \"revproxyd/pipeline/chain.h\"\n"}).at(0).line,
      2U);
  EXPECT_EQ(layering({"src/gadgets/a.cpp", ""}).size(), 1U);
  EXPECT_EQ(layering({"src/net/a.cpp", "#include \"helpers/a.h\"\n"}).size(), 1U);
  EXPECT_TRUE(layering({"src/http/a.cpp",
                        "#include \"revproxyd/net/transport.h\"\n#include \"http/h1/parser.h\"\n"})
                  .empty());
  EXPECT_TRUE(
      layering({"src/net/a.cpp", "// #include \"revproxyd/http/head.h\"\n#include <vector>\n"})
          .empty());
}

TEST(TidyLayers, PrivateHeadersStayInTheirModule) {
  const Findings findings = over_product(private_headers);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyLayers, RuleSeesPrivateHeadersOfOthers) {
  EXPECT_EQ(private_headers({"src/proxy/a.cpp", "#include \"filters/regex.h\"\n"}).size(), 1U);
  EXPECT_EQ(private_headers({"include/revproxyd/net/a.h", "#include \"net/b.h\"\n"}).size(), 1U);
  EXPECT_TRUE(private_headers(
                  {"src/net/a.cpp", "#include \"net/b.h\"\n#include \"revproxyd/base/task.h\"\n"})
                  .empty());
}

TEST(TidyLayers, LibrariesAreMetBehindTheirDoors) {
  const Findings findings = over_product(doors);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyLayers, RuleSeesLibrariesOutsideTheirDoors) {
  EXPECT_EQ(doors({"src/app/a.cpp", "#include <yaml-cpp/yaml.h>\n"}).size(), 1U);
  EXPECT_EQ(doors({"src/base/other.cpp", "#include <spdlog/spdlog.h>\n"}).size(), 1U);
  EXPECT_EQ(doors({"include/revproxyd/tls/context.h", "#include <openssl/ssl.h>\n"}).size(), 1U);
  EXPECT_EQ(doors({"src/http/a.cpp", "#include <boost/asio/io_context.hpp>\n"}).size(), 1U);
  EXPECT_EQ(doors({"src/net/a.cpp", "#include <boost/asio.hpp>\n"}).size(), 1U);
  EXPECT_EQ(doors({"src/upstream/a.cpp", "#include <ares.h>\n"}).size(), 1U);
  EXPECT_EQ(doors({"src/app/a.cpp", "#include <re2/re2.h>\n"}).size(), 1U);
  EXPECT_EQ(doors({"src/http/h1/a.cpp", "#include <nghttp2/nghttp2.h>\n"}).size(), 1U);
  EXPECT_TRUE(doors({"src/config/yaml.cpp", "#include <yaml-cpp/yaml.h>\n"}).empty());
  EXPECT_TRUE(doors({"src/http/h2/session.cpp", "#include <nghttp2/nghttp2.h>\n"}).empty());
}

TEST(TidyLayers, PublicHeadersAreUsedByAnotherModule) {
  const Findings findings = dead_headers(product_code());
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyLayers, RuleSeesHeadersThatNobodyElseIncludes) {
  const std::vector<Source> files{
      {"include/revproxyd/net/dead.h", ""},
      {"include/revproxyd/net/alive.h", "#include \"revproxyd/net/inner.h\"\n"},
      {"include/revproxyd/net/inner.h", ""},
      {"src/net/dead.cpp", "#include \"revproxyd/net/dead.h\"\n"},
      {"src/tls/user.cpp", "#include \"revproxyd/net/alive.h\"\n"},
  };
  const Findings findings = dead_headers(files);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].path, "include/revproxyd/net/dead.h");
}

}  // namespace revproxyd::tidy
