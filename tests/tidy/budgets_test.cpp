// How long files and functions may be, how many parameters and how deep.

#include <gtest/gtest.h>

#include "tests/tidy/functions.h"
#include "tests/tidy/source.h"

namespace revproxyd::tidy {

namespace {

constexpr std::size_t kSourceLines = 500;
constexpr std::size_t kHeaderLines = 250;
constexpr std::size_t kFunctionLines = 70;
constexpr std::size_t kParameters = 6;
constexpr std::size_t kNesting = 4;

Findings file_size(const Source& file) {
  const std::size_t lines = lines_of(file.text).size();
  const std::size_t budget = is_header(file.path) ? kHeaderLines : kSourceLines;
  if (lines <= budget) return {};
  return {
      {file.path, 0, std::to_string(lines) + " lines, the budget is " + std::to_string(budget)}};
}

Findings function_budgets(const Source& file) {
  Findings findings;
  const auto check = [&](const Function& function, std::size_t is, std::size_t budget,
                         const char* of) {
    if (is <= budget) return;
    findings.push_back(
        {file.path, function.line,
         "function with " + std::to_string(is) + of + ", the budget is " + std::to_string(budget)});
  };
  for (const Function& function : functions_of(file.text)) {
    check(function, function.length, kFunctionLines, " lines");
    check(function, function.parameters, kParameters, " parameters");
    check(function, function.nesting, kNesting, " levels");
  }
  return findings;
}

Findings pragma_once(const Source& file) {
  if (!is_header(file.path) || file.text.starts_with("#pragma once\n")) return {};
  return {{file.path, 1, "a header begins with #pragma once"}};
}

Findings over_all(Findings (*rule)(const Source&)) {
  Findings findings;
  for (const Source& file : all_code()) append(findings, rule(file));
  return findings;
}

std::string repeated(const std::string& line, std::size_t times) {
  std::string out;
  for (std::size_t at = 0; at < times; ++at) out += line;
  return out;
}

}  // namespace

TEST(TidyBudgets, FilesFitTheirBudget) {
  const Findings findings = over_all(file_size);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyBudgets, RuleSeesLongFiles) {
  EXPECT_TRUE(file_size({"a.cpp", repeated("x\n", 500)}).empty());
  EXPECT_EQ(file_size({"a.cpp", repeated("x\n", 501)}).size(), 1U);
  EXPECT_TRUE(file_size({"a.h", repeated("x\n", 250)}).empty());
  EXPECT_EQ(file_size({"a.h", repeated("x\n", 251)}).size(), 1U);
}

TEST(TidyBudgets, FunctionsFitTheirBudgets) {
  const Findings findings = over_all(function_budgets);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyBudgets, RuleSeesLongFunctions) {
  EXPECT_TRUE(
      function_budgets({"a.cpp", "int f() {\n" + repeated("  g();\n", 68) + "}\n"}).empty());
  EXPECT_EQ(function_budgets({"a.cpp", "int f() {\n" + repeated("  g();\n", 69) + "}\n"}).size(),
            1U);
  EXPECT_EQ(function_budgets(
                {"a.cpp", "A::A(int b) : b_{b}, c_(b) {\n" + repeated("  g();\n", 69) + "}\n"})
                .size(),
            1U);
  EXPECT_EQ(function_budgets({"a.cpp", "TEST(A, B) {\n" + repeated("  g();\n", 69) + "}\n"}).size(),
            1U);
  EXPECT_TRUE(
      function_budgets({"a.cpp", "constexpr int kA[] = {\n" + repeated("  1,\n", 99) + "};\n"})
          .empty());
  EXPECT_TRUE(
      function_budgets({"a.cpp", "class A {\n" + repeated("  int f();\n", 99) + "};\n"}).empty());
}

TEST(TidyBudgets, RuleSeesLongParameterLists) {
  EXPECT_TRUE(
      function_budgets({"a.cpp", "int f(int a, int b, int c, int d, int e, int g) {}\n"}).empty());
  EXPECT_EQ(
      function_budgets({"a.cpp", "int f(int a, int b, int c, int d, int e, int g, int h) {}\n"})
          .size(),
      1U);
  EXPECT_TRUE(
      function_budgets(
          {"a.cpp", "int f(std::map<int, std::pair<int, int>> a, int b, int c, int d, int e) {}\n"})
          .empty());
}

TEST(TidyBudgets, RuleSeesDeepNesting) {
  const std::string four = "if (a) { for (;;) { while (b) { if (c) { d(); } } } }\n";
  EXPECT_TRUE(function_budgets({"a.cpp", "void f() {\n" + four + "}\n"}).empty());
  EXPECT_EQ(function_budgets({"a.cpp", "void f() {\nif (e) {\n" + four + "}\n}\n"}).size(), 1U);
  EXPECT_TRUE(function_budgets({"a.cpp", "void f() {\nX x{{{{{1}}}}};\n}\n"}).empty());
}

TEST(TidyBudgets, HeadersBeginWithPragmaOnce) {
  const Findings findings = over_all(pragma_once);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyBudgets, RuleSeesHeadersWithoutPragmaOnce) {
  EXPECT_EQ(pragma_once({"a.h", "#ifndef A\n"}).size(), 1U);
  EXPECT_TRUE(pragma_once({"a.h", "#pragma once\n"}).empty());
}

}  // namespace revproxyd::tidy
