#include "filters/field_edits.h"

#include <string>

#include <gtest/gtest.h>

namespace revproxyd::filters {
namespace {

std::string text_of(const http::Fields& fields) {
  std::string out;
  for (const http::Field& field : fields) {
    out.append(field.name).append(": ").append(field.value).append("\n");
  }
  return out;
}

class FieldEditsTest : public ::testing::Test {
 protected:
  FieldEditsTest() : fields(arena) {
    fields.add("Server", "origin");
    fields.add("X-A", "1");
    fields.add("Vary", "accept");
    fields.add("x-a", "2");
  }
  Arena arena;
  http::Fields fields;
};

TEST_F(FieldEditsTest, EmptyEditsChangeNothing) {
  const std::string before = text_of(fields);
  apply(FieldEdits{}, fields);
  EXPECT_EQ(text_of(fields), before);
}

TEST_F(FieldEditsTest, RemoveTakesEveryFieldOfThatNameInAnyCase) {
  const FieldEdits edits{.remove = {"X-a", "SERVER", "X-Missing"}};
  apply(edits, fields);
  EXPECT_EQ(text_of(fields), "Vary: accept\n");
}

TEST_F(FieldEditsTest, SetReplacesEveryFieldOfThatNameByOne) {
  const FieldEdits edits{.set = {{"X-A", "3"}, {"X-B", "4"}}};
  apply(edits, fields);
  EXPECT_EQ(text_of(fields), "Server: origin\nX-A: 3\nVary: accept\nX-B: 4\n");
}

TEST_F(FieldEditsTest, AddKeepsWhatIsThere) {
  const FieldEdits edits{.add = {{"Vary", "cookie"}, {"X-B", "4"}}};
  apply(edits, fields);
  EXPECT_EQ(text_of(fields),
            "Server: origin\nX-A: 1\nVary: accept\nx-a: 2\nVary: cookie\nX-B: 4\n");
}

TEST_F(FieldEditsTest, RemovesThenSetsThenAdds) {
  const FieldEdits edits{
      .set = {{"X-A", "set"}}, .add = {{"X-A", "added"}}, .remove = {"X-A", "Server", "Vary"}};
  apply(edits, fields);
  EXPECT_EQ(text_of(fields), "X-A: set\nX-A: added\n");
}

TEST_F(FieldEditsTest, EditedFieldsAreFoundByTheirInternedName) {
  const FieldEdits edits{.set = {{"cache-control", "no-store"}}, .remove = {"vary"}};
  apply(edits, fields);
  EXPECT_EQ(fields.get(http::FieldName::cache_control), "no-store");
  EXPECT_FALSE(fields.has(http::FieldName::vary));
}

TEST(FieldEditsEditable, TakesOrdinaryFields) {
  for (const char* name :
       {"X-Frame-Options", "Server", "server", "Authorization", "Cookie", "Set-Cookie", "Vary",
        "X-Forwarded-For", "Content-Type", "Content-Encoding"}) {
    EXPECT_TRUE(editable(name)) << name;
  }
}

TEST(FieldEditsEditable, RefusesFramingAndHopByHopFieldsAndHost) {
  for (const char* name :
       {"Content-Length", "content-length", "Transfer-Encoding", "Connection", "Keep-Alive",
        "Proxy-Connection", "TE", "Trailer", "Upgrade", "HTTP2-Settings", "Proxy-Authenticate",
        "Proxy-Authorization", "Expect", "Host", "HOST"}) {
    EXPECT_FALSE(editable(name)) << name;
  }
}

TEST(FieldEditsEditable, RefusesWhatIsNoName) {
  for (const char* name : {"", "X A", "X-A:", ":path", "X\r\nY", "X-\xc3\xa9"})
    EXPECT_FALSE(editable(name)) << name;
}

TEST(FieldEditsValue, TakesTextAndRefusesControlCharacters) {
  EXPECT_TRUE(acceptable_value(""));
  EXPECT_TRUE(acceptable_value("max-age=1; a=\"b\tc\""));
  EXPECT_TRUE(acceptable_value("caf\xc3\xa9"));
  EXPECT_FALSE(acceptable_value("a\r\nSet-Cookie: b"));
  EXPECT_FALSE(acceptable_value("a\nb"));
  EXPECT_FALSE(acceptable_value(std::string_view("a\0b", 3)));
  EXPECT_FALSE(acceptable_value("a\x7f"));
  EXPECT_FALSE(acceptable_value(" a"));
  EXPECT_FALSE(acceptable_value("a\t"));
}

}  // namespace
}  // namespace revproxyd::filters
