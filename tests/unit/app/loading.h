#pragma once
// Configurations in one string, and what is said of them.

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "revproxyd/app/load.h"

namespace revproxyd::app::test {

inline bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

inline constexpr std::string_view kListener = "listeners: [ { name: web, address: \":8080\" } ]\n";

inline Settings good(const std::string& text) {
  const LoadResult result = load_text(text, "proxy.yaml");
  EXPECT_TRUE(result.ok()) << result.report.text();
  return result.settings;
}

/// The report on a text with a listener in front.
inline std::string refusal(const std::string& text) {
  const LoadResult result = load_text(std::string(kListener) + text, "proxy.yaml");
  EXPECT_FALSE(result.ok()) << text;
  return result.report.text();
}

inline std::string route(const std::string& keys) { return "routes: [ { " + keys + " } ]\n"; }

}  // namespace revproxyd::app::test
