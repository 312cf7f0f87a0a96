#include "revproxyd/proxy/access_record.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "revproxyd/base/error.h"

namespace revproxyd::proxy {
namespace {

using namespace std::chrono_literals;

const AccessMask kMask(std::vector<std::string>{"token", "password", "Code"}, {});

// 2026-11-23 12:44:58.007 UTC, as `date -u -d @1795437898` says.
constexpr std::chrono::system_clock::time_point kTime{1795437898007ms};

AccessRecord least() {
  AccessRecord record;
  record.ts = kTime;
  record.id = "r1";
  record.client = "192.0.2.7";
  record.method = "GET";
  record.path = "/";
  record.status = 200;
  return record;
}

AccessRecord full() {
  AccessRecord record = least();
  record.listener = "https";
  record.proto = "HTTP/1.1";
  record.tls = "TLSv1.3";
  record.sni = "app.example.com";
  record.scheme = "https";
  record.host = "app.example.com";
  record.path = "/a/b";
  record.query = "x=1";
  record.status = 502;
  record.bytes_in = 3;
  record.bytes_out = 18446744073709551615ULL;
  record.referer = "https://example.com/";
  record.user_agent = "curl/7.88.1";
  record.route = "app";
  record.upstream = "backend";
  record.server = "10.0.0.1:8080";
  record.retries = 1;
  record.cache = "miss";
  record.t_queue = 0us;
  record.t_connect = 1us;
  record.t_ttfb = 12345us;
  record.t_total = 61000000us;
  record.why = "malformed_response";
  return record;
}

std::string json(const AccessRecord& record, const AccessMask& mask = kMask) {
  Buffer out(room_for(record));
  format_json(record, mask, out);
  return std::string(out.held());
}

std::string combined(const AccessRecord& record, const AccessMask& mask = kMask) {
  Buffer out(room_for(record));
  format_combined(record, mask, out);
  return std::string(out.held());
}

std::string json_query(std::string_view query) {
  AccessRecord record = least();
  record.query = query;
  const std::string line = json(record);
  const std::string key = "\"query\":\"";
  const std::size_t begin = line.find(key) + key.size();
  return line.substr(begin, line.find('"', begin) - begin);
}

std::string combined_referer(std::string_view referer, const AccessMask& mask = kMask) {
  AccessRecord record = least();
  record.referer = referer;
  const std::string line = combined(record, mask);
  const std::size_t end = line.rfind("\" \"");
  const std::size_t begin = line.rfind('"', end - 1) + 1;
  return line.substr(begin, end - begin);
}

TEST(AccessRecordJson, KeepsOnlyTheMandatoryMembersOfABareRecord) {
  EXPECT_EQ(json(least()),
            "{\"ts\":\"2026-11-23T12:44:58.007Z\",\"id\":\"r1\",\"client\":\"192.0.2.7\","
            "\"method\":\"GET\",\"path\":\"/\","
            "\"status\":200,\"bytes_out\":0,\"t_total\":0.000}\n");
}

TEST(AccessRecordJson, KeepsMandatoryMembersThatAreEmpty) {
  AccessRecord record;
  record.ts = kTime;
  EXPECT_EQ(json(record),
            "{\"ts\":\"2026-11-23T12:44:58.007Z\",\"id\":\"\",\"client\":\"\",\"method\":\"\","
            "\"path\":\"\","
            "\"status\":0,\"bytes_out\":0,\"t_total\":0.000}\n");
}

TEST(AccessRecordJson, WritesEveryMemberInTheDocumentedOrder) {
  EXPECT_EQ(json(full()),
            "{\"ts\":\"2026-11-23T12:44:58.007Z\",\"id\":\"r1\",\"client\":\"192.0.2.7\","
            "\"listener\":\"https\","
            "\"proto\":\"HTTP/"
            "1.1\",\"tls\":\"TLSv1.3\",\"sni\":\"app.example.com\",\"method\":\"GET\",\"scheme\":"
            "\"https\","
            "\"host\":\"app.example.com\",\"path\":\"/a/"
            "b\",\"query\":\"x=1\",\"status\":502,\"bytes_in\":3,"
            "\"bytes_out\":18446744073709551615,\"referer\":\"https://example.com/"
            "\",\"user_agent\":\"curl/7.88.1\","
            "\"route\":\"app\",\"upstream\":\"backend\",\"server\":\"10.0.0.1:8080\",\"retries\":1,"
            "\"cache\":\"miss\","
            "\"t_queue\":0.000,\"t_connect\":0.001,\"t_ttfb\":12.345,\"t_total\":61000.000,\"why\":"
            "\"malformed_response\"}\n");
}

TEST(AccessRecordJson, WritesTimesBeforeTheEpochAndInLeapYears) {
  AccessRecord record = least();
  record.ts = std::chrono::system_clock::time_point{-1ms};
  EXPECT_NE(json(record).find("\"1969-12-31T23:59:59.999Z\""), std::string::npos);
  record.ts = std::chrono::system_clock::time_point{951782400000ms};
  EXPECT_NE(json(record).find("\"2000-02-29T00:00:00.000Z\""), std::string::npos);
}

TEST(AccessRecordJson, EscapesWhatAStringMayNotHold) {
  AccessRecord record = least();
  record.user_agent = std::string_view("\"\\\n\r\t\x01\x00\x7f\xc3\xa9\xff<>", 13);
  EXPECT_NE(json(record).find(
                "\"user_agent\":\"\\\"\\\\\\n\\r\\t\\u0001\\u0000\\u007f\\u00c3\\u00a9\\u00ff<>\""),
            std::string::npos);
}

TEST(AccessRecordJson, CutsLongTextAndSaysSo) {
  AccessRecord record = least();
  const std::string fits(kAccessFieldLimit, 'a');
  record.path = fits;
  EXPECT_NE(json(record).find("\"" + fits + "\""), std::string::npos);
  const std::string longer = fits + "b";
  record.path = longer;
  EXPECT_NE(json(record).find("\"" + fits + "...\""), std::string::npos);
  record.path = "/";
  record.query = longer;
  EXPECT_NE(json(record).find("\"" + fits + "...\""), std::string::npos);
}

TEST(AccessRecordJson, StaysWithinItsRoomWhateverIsEscapedOrHidden) {
  const std::string bad(20000, '\x01');
  const std::string url = bad + "//" + bad + "@" + bad + "?" + bad;
  std::string parameters;
  while (parameters.size() < 20000) parameters += "=&";
  for (const std::string& referer : {url, "//@?" + parameters}) {
    AccessRecord record = least();
    record.id = record.client = record.listener = record.proto = record.tls = record.sni =
        record.method = bad;
    record.scheme = record.host = record.path = record.user_agent = record.route = record.upstream =
        bad;
    record.server = record.cache = record.why = bad;
    record.query = parameters;
    record.referer = referer;
    const AccessMask mask(std::vector<std::string>{""}, {});
    EXPECT_LT(json(record, mask).size(), 18 * (6 * kAccessFieldLimit + 16) + 1024);
    EXPECT_LT(combined(record, mask).size(), 6 * (6 * kAccessFieldLimit + 16) + 1024);
  }
}

// As the last of the user agent, the byte of that value at that place of a text of that size.
void expect_escaped(std::size_t size, std::size_t at, int c) {
  std::string text(size, '!');
  text[at] = static_cast<char>(c);
  AccessRecord record = least();
  record.user_agent = text;
  char hex[8];
  std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned>(c));
  const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
  const std::string expected = std::string(at, '!') +
                               (plain ? std::string(1, static_cast<char>(c)) : hex) +
                               std::string(size - 1 - at, '!');
  ASSERT_TRUE(combined(record).ends_with("\"" + expected + "\"\n"))
      << size << ' ' << at << ' ' << c;
}

TEST(AccessRecordCombined, EscapesAtEveryPlaceOfATextOfAnySize) {
  for (std::size_t size = 1; size <= 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int c = 0; c < 256; ++c) ASSERT_NO_FATAL_FAILURE(expect_escaped(size, at, c));
    }
  }
}

TEST(AccessRecordJson, IsReadByAnIndependentParserWhateverTheBytes) {
  if (std::system("python3 -c pass >/dev/null 2>&1") != 0) GTEST_SKIP() << "no python3";
  std::string every_byte;
  for (int c = 0; c < 256; ++c) every_byte += static_cast<char>(c);
  AccessRecord record = full();
  std::string lines = json(record) + json(least());
  record.path = record.query = record.user_agent = record.referer = record.host = record.id =
      every_byte;
  lines += json(record);
  const std::string script =
      "import json,sys\n"
      "lines=[json.loads(l) for l in sys.stdin.buffer.read().split(b'\\n') if l]\n"
      "every=''.join(map(chr,range(256)))\n"
      "assert len(lines)==3\n"
      "assert lines[0]['t_ttfb']==12.345 and lines[0]['bytes_out']==2**64-1 and len(lines[0])==27\n"
      "assert lines[1]['status']==200 and len(lines[1])==8\n"
      "assert all(lines[2][k]==every for k in ('path','query','user_agent','host','id'))\n";
  FILE* python = ::popen(("python3 -c \"" + script + "\"").c_str(), "w");
  ASSERT_NE(python, nullptr);
  std::fwrite(lines.data(), 1, lines.size(), python);
  EXPECT_EQ(::pclose(python), 0);
}

TEST(AccessRecordCombined, WritesTheClassicLine) {
  AccessRecord record = full();
  record.bytes_out = 17;
  EXPECT_EQ(combined(record),
            "192.0.2.7 - - [23/Nov/2026:12:44:58 +0000] \"GET /a/b?x=1 HTTP/1.1\" 502 17 "
            "\"https://example.com/\" "
            "\"curl/7.88.1\"\n");
}

TEST(AccessRecordCombined, PutsADashForWhatIsMissing) {
  AccessRecord record;
  record.ts = kTime;
  record.status = 400;
  EXPECT_EQ(combined(record), "- - - [23/Nov/2026:12:44:58 +0000] \"- - -\" 400 0 \"-\" \"-\"\n");
}

TEST(AccessRecordCombined, EscapesQuotesBackslashesAndControlBytes) {
  AccessRecord record = least();
  record.user_agent = "a\" \"b\\\n\x1b[31m\x80";
  EXPECT_NE(combined(record).find("\"a\\x22 \\x22b\\x5c\\x0a\\x1b[31m\\x80\"\n"),
            std::string::npos);
}

TEST(AccessMask, HidesTheValuesOfListedParameters) {
  EXPECT_EQ(json_query("a=1&token=s3cret&b=2"), "a=1&token=***&b=2");
  EXPECT_EQ(json_query("token=s3cret"), "token=***");
  EXPECT_EQ(json_query("token="), "token=***");
  EXPECT_EQ(json_query("token=a=b&code=c"), "token=***&code=***");
  EXPECT_EQ(json_query("token=1&token=2"), "token=***&token=***");
}

TEST(AccessMask, LeavesOtherParametersAlone) {
  for (const char* query :
       {"tokens=1", "mytoken=1", "token", "a=token", "=token", "&&", "toke%6=1", "%7gtoken=1",
        "%g7token=1", "toke%6g=1", "%", "to+ken=1", "tok%00en=1"}) {
    EXPECT_EQ(json_query(query), query);
  }
}

TEST(AccessMask, KnowsNamesInAnyCaseAndEncoding) {
  EXPECT_EQ(json_query("TOKEN=s3cret"), "TOKEN=***");
  EXPECT_EQ(json_query("%74ok%65n=s3cret"), "%74ok%65n=***");
  EXPECT_EQ(json_query("%54OK%45N=s3cret"), "%54OK%45N=***");
  EXPECT_EQ(json_query("code=s3cret"), "code=***");
}

TEST(AccessMask, FindsParametersBehindOtherSeparators) {
  EXPECT_EQ(json_query("a=1;token=s3cret&b=2"), "a=1;token=***&b=2");
  EXPECT_EQ(json_query("next=/in?token=s3cret&b=2"), "next=/in?token=***&b=2");
}

TEST(AccessMask, HidesAValueThatHoldsSeparatorsWhole) {
  EXPECT_EQ(json_query("password=s3;c?r#et&b=2"), "password=***&b=2");
}

TEST(AccessMask, HidesTheSameInTheReferer) {
  EXPECT_EQ(combined_referer("https://h/p?token=s3cret&b=2"), "https://h/p?token=***&b=2");
  EXPECT_EQ(combined_referer("https://h/p#token=s3cret"), "https://h/p#token=***");
  EXPECT_EQ(combined_referer("https://h/p?b=2#token=s3cret"), "https://h/p?b=2#token=***");
  EXPECT_EQ(combined_referer("https://h/token=1"), "https://h/token=1");
}

TEST(AccessMask, HidesUserAndPasswordInTheReferer) {
  EXPECT_EQ(combined_referer("https://user:s3cret@h/p@x"), "https://***@h/p@x");
  EXPECT_EQ(combined_referer("https://user:s3c@ret@h"), "https://***@h");
  EXPECT_EQ(combined_referer("https://h/p@x"), "https://h/p@x");
  EXPECT_EQ(combined_referer("user@h//p"), "user@h//p");
}

TEST(AccessMask, HidesWholeHeadersWhenListed) {
  const AccessMask mask({}, std::vector<std::string>{"REFERER", "user-agent", "Cookie"});
  AccessRecord record = full();
  EXPECT_NE(combined(record, mask).find("\"***\" \"***\"\n"), std::string::npos);
  EXPECT_NE(json(record, mask).find("\"referer\":\"***\",\"user_agent\":\"***\""),
            std::string::npos);
  record.referer = record.user_agent = "";
  EXPECT_EQ(json(record, mask).find("***"), std::string::npos);
}

// The words in code type that begin the rows of the table under `heading` in docs/log.md.
std::set<std::string> documented(const std::string& heading) {
  std::ifstream file(REVPROXYD_SOURCE_DIR "/docs/log.md");
  std::set<std::string> words;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) inside = line == heading;
    if (inside && line.starts_with("| `")) words.insert(line.substr(3, line.find('`', 3) - 3));
  }
  return words;
}

TEST(AccessLogPage, ExplainsEveryWhyAndNoOther) {
  std::set<std::string> words;
  for (std::size_t i = 1; i < kCodeCount; ++i) words.emplace(name(static_cast<Code>(i)));
  EXPECT_EQ(documented("## The words of `why`"), words);
}

TEST(AccessLogPage, ExplainsEveryMemberAndNoOther) {
  const std::string line = json(full());
  std::set<std::string> members;
  for (std::size_t at = 0; (at = line.find("\":", at)) != std::string::npos; ++at) {
    const std::size_t begin = line.rfind('"', at - 1) + 1;
    members.insert(line.substr(begin, at - begin));
  }
  EXPECT_EQ(documented("## Fields"), members);
}

}  // namespace
}  // namespace revproxyd::proxy
