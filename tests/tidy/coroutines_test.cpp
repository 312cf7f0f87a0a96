// The forms of co_await that g++ 12 miscompiles, and the ones that outlive what they use
// (docs/style.md, docs/decisions/0007).

#include <cctype>
#include <regex>

#include <gtest/gtest.h>

#include "tests/tidy/source.h"

namespace revproxyd::tidy {

namespace {

const std::string kAwait = "co_await";

// The statement around one co_await: up to what ends it, or to the parenthesis that closes around
// it.
struct Await {
  std::size_t line = 0;
  std::string before;       // from the statement's start, or from the parenthesis around it
  std::string after;        // to the statement's end
  std::string parenthesis;  // the word before the parenthesis around it; " " when there is one
                            // without a word
  bool braces =
      false;  // a brace opens in the statement, or the co_await stands in one that closes in it
};

std::string word_before(const std::string& code, std::size_t at) {
  std::size_t end = at;
  while (end > 0 && code[end - 1] == ' ') --end;
  std::size_t begin = end;
  const auto is_name = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ':';
  };
  while (begin > 0 && is_name(code[begin - 1])) --begin;
  return begin == end ? " " : code.substr(begin, end - begin);
}

// `co_await Fair{}`: an awaiter made of nothing, with nothing to be destroyed twice. How long it
// is, or 0.
std::size_t empty_awaiter(const std::string& code, std::size_t at) {
  static const std::regex kAwaiter(R"(^\s*(\w+::)*[A-Z]\w*\{\})");
  std::smatch match;
  const bool found = std::regex_search(code.begin() + static_cast<std::ptrdiff_t>(at), code.end(),
                                       match, kAwaiter, std::regex_constants::match_continuous);
  return found ? static_cast<std::size_t>(match.length()) : 0;
}

Await look_around(const std::string& code, std::size_t at) {
  Await await;
  await.line = line_of(code, at);
  int depth = 0;
  std::size_t begin = at;
  for (; begin > 0; --begin) {
    const char c = code[begin - 1];
    if (c == ')') ++depth;
    if (c == '(' && depth-- == 0) {
      await.parenthesis = word_before(code, begin - 1);
      break;
    }
    if (c == ';' || c == '{' || c == '}') break;
  }
  const char stop = begin > 0 ? code[begin - 1] : ';';
  await.before = code.substr(begin, at - begin);
  depth = 0;
  std::size_t end = at + kAwait.size() + empty_awaiter(code, at + kAwait.size());
  for (; end < code.size(); ++end) {
    const char c = code[end];
    if (c == '(') ++depth;
    if (c == ')' && depth-- == 0) break;
    if (c == '{' || (c == '}' && depth == 0)) await.braces = true;
    if (await.braces || (c == ';' && depth == 0)) break;
  }
  await.after = code.substr(at + kAwait.size(), end - at - kAwait.size());
  // A parenthesis closes that was opened before what the scan backwards stopped at.
  if (end < code.size() && code[end] == ')' && stop == ';') await.parenthesis = "for";
  if (end < code.size() && code[end] == ')' && stop == '}') await.braces = true;
  return await;
}

std::vector<Await> awaits_of(const std::string& code) {
  std::vector<Await> awaits;
  for (std::size_t at = code.find(kAwait); at != std::string::npos;
       at = code.find(kAwait, at + 1)) {
    if (at >= 9 && code.compare(at - 9, 9, "operator ") == 0) continue;
    awaits.push_back(look_around(code, at));
  }
  return awaits;
}

// A condition may hold a co_await only as the initialiser of its own variable: `if (auto x =
// co_await f(); x)`.
bool condition_is_bad(const Await& await) {
  static const std::regex kInitialiser(R"(^\s*(const\s+)?auto\s*&{0,2}\s*\w+\s*=\s*$)");
  if (await.parenthesis != "if") {
    return await.parenthesis == "while" || await.parenthesis == "for" ||
           await.parenthesis == "switch";
  }
  return !std::regex_match(await.before, kInitialiser);
}

Findings await_forms(const Source& file) {
  Findings findings;
  for (const Await& await : awaits_of(statements_of(file.text))) {
    const std::string around = await.before + await.after;
    const auto report = [&](const char* what) {
      findings.push_back({file.path, await.line, what});
    };
    if (await.braces) report("braces in one expression with co_await");
    if (around.find('?') != std::string::npos) report("?: in one expression with co_await");
    if (around.find(kAwait) != std::string::npos) report("two co_await in one statement");
    if (condition_is_bad(await))
      report("co_await in a condition; only `if (auto x = co_await ...; x)`");
  }
  return findings;
}

Findings lambda_coroutines(const Source& file) {
  static const std::regex kLambda(
      R"(\[[^\[\]]+\]\s*(\([^()]*\))?\s*(mutable\s*)?(noexcept\s*)?->\s*(\w+::)*Task<)");
  Findings findings;
  const std::string code = statements_of(file.text);
  for (std::sregex_iterator at(code.begin(), code.end(), kLambda); at != std::sregex_iterator();
       ++at) {
    findings.push_back({file.path, line_of(code, static_cast<std::size_t>(at->position())),
                        "a coroutine lambda with captures"});
  }
  return findings;
}

Findings detached_coroutines(const Source& file) {
  static const std::regex kDetached(R"(\bdetached\b)");
  Findings findings;
  const std::string code = statements_of(file.text);
  for (std::sregex_iterator at(code.begin(), code.end(), kDetached); at != std::sregex_iterator();
       ++at) {
    findings.push_back({file.path, line_of(code, static_cast<std::size_t>(at->position())),
                        "nobody joins a detached coroutine"});
  }
  return findings;
}

Findings over_all(Findings (*rule)(const Source&)) {
  Findings findings;
  for (const Source& file : all_code()) append(findings, rule(file));
  return findings;
}

std::size_t forms(const std::string& statement) {
  return await_forms({"a.cpp", "Task<void> f() {\n  " + statement + "\n}\n"}).size();
}

}  // namespace

TEST(TidyCoroutines, AwaitsHaveTheFormsThatCompileWell) {
  const Findings findings = over_all(await_forms);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyCoroutines, RuleSeesBracesAroundAndBesideAwait) {
  EXPECT_EQ(forms("co_await g([a] { return a; });"), 1U);
  EXPECT_EQ(forms("co_await g(Point{a, b});"), 1U);
  EXPECT_EQ(forms("co_await g({a, b});"), 1U);
  EXPECT_EQ(forms("Point p{co_await g(), 1};"), 1U);
  EXPECT_EQ(forms("std::vector<S> v{a, co_await g()};"), 1U);
  EXPECT_EQ(forms("v.push_back(Point{co_await g()});"), 1U);
  EXPECT_GE(forms("auto s = h(Point{a}, co_await g());"), 1U);
}

TEST(TidyCoroutines, RuleSeesConditionals) {
  EXPECT_EQ(forms("auto s = y ? co_await g() : h();"), 1U);
  EXPECT_EQ(forms("auto s = co_await g(y ? a : b);"), 1U);
}

TEST(TidyCoroutines, RuleSeesTwoAwaitsInOneStatement) {
  EXPECT_GE(forms("auto s = co_await g() + co_await h();"), 1U);
}

TEST(TidyCoroutines, RuleSeesAwaitsInConditions) {
  EXPECT_EQ(forms("if (co_await g(x) != 3) h();"), 1U);
  EXPECT_EQ(forms("while (co_await g()) h();"), 1U);
  EXPECT_EQ(forms("switch (co_await g()) h();"), 1U);
  EXPECT_EQ(forms("if (auto x = 1; co_await g(x)) h();"), 1U);
}

TEST(TidyCoroutines, RuleAcceptsTheGoodForms) {
  EXPECT_EQ(forms("auto a = co_await g(); Point p{a, 1};"), 0U);
  EXPECT_EQ(forms("auto b = co_await g(std::move(p), kLimit, 3);"), 0U);
  EXPECT_EQ(forms("if (auto x = co_await g(a); !x) co_return x.error();"), 0U);
  // Parentheses call a constructor: clang 14 refuses them for aggregates.
  EXPECT_EQ(forms("auto x = co_await g(a, Bytes(b));"), 0U);
  EXPECT_EQ(forms("{ co_await g(); }"), 0U);
  EXPECT_EQ(forms("ignore(co_await g(), \"why {?}\");"), 0U);
  EXPECT_EQ(forms("co_return co_await g(a);"), 0U);
  EXPECT_EQ(forms("auto fair = co_await Fair{};"), 0U);
  EXPECT_EQ(forms("// if (co_await g({a})) or not"), 0U);
  EXPECT_EQ(
      await_forms(
          {"a.h", "Awaiter operator co_await() const& noexcept { return Awaiter(handle_); }\n"})
          .size(),
      0U);
}

TEST(TidyCoroutines, NoLambdaCoroutineCaptures) {
  const Findings findings = over_all(lambda_coroutines);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyCoroutines, RuleSeesLambdaCoroutinesWithCaptures) {
  EXPECT_EQ(lambda_coroutines({"a.cpp", "auto f = [&]() -> Task<void> { co_return; };\n"}).size(),
            1U);
  EXPECT_EQ(lambda_coroutines(
                {"a.cpp",
                 "auto f = [this, x](int y) mutable -> revproxyd::Task<int> { co_return y; };\n"})
                .size(),
            1U);
  EXPECT_TRUE(
      lambda_coroutines({"a.cpp", "auto f = [](int y) -> Task<int> { co_return y; };\n"}).empty());
}

TEST(TidyCoroutines, NoCoroutineIsDetached) {
  const Findings findings = over_all(detached_coroutines);
  EXPECT_TRUE(findings.empty()) << listing(findings);
}

TEST(TidyCoroutines, RuleSeesDetachedCoroutines) {
  EXPECT_EQ(detached_coroutines({"a.cpp", "asio::co_spawn(c, f(), asio::detached);\n"}).size(), 1U);
  EXPECT_TRUE(detached_coroutines({"a.cpp", "// a detached one would leak\nchain.undetached();\n"})
                  .empty());
}

}  // namespace revproxyd::tidy
