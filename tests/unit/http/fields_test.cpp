#include "revproxyd/http/fields.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "revproxyd/base/ascii.h"

namespace revproxyd::http {
namespace {

TEST(FieldNames, AreFoundInEverySpelling) {
  for (std::size_t i = 1; i < kFieldNameCount; ++i) {
    const auto field = static_cast<FieldName>(i);
    const std::string canonical(name(field));
    ASSERT_FALSE(canonical.empty());
    std::string upper = canonical;
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    EXPECT_EQ(lookup(canonical), field) << canonical;
    EXPECT_EQ(lookup(ascii::lower(canonical)), field) << canonical;
    EXPECT_EQ(lookup(upper), field) << canonical;
  }
}

TEST(FieldNames, DoNotMatchTextThatOnlyLooksAlike) {
  for (const char* text :
       {"", "a", "Hos", "Hosts", "Hoss", "Content_Length", "Content-Lengt", "Content-Lengthh",
        "X-Own", "Content\rLength", "a-name-that-is-longer-than-all-of-them"}) {
    EXPECT_EQ(lookup(text), FieldName::unknown) << text;
  }
}

TEST(FieldNames, DifferInEachSingleByte) {
  for (std::size_t i = 1; i < kFieldNameCount; ++i) {
    const auto field = static_cast<FieldName>(i);
    const std::string canonical(name(field));
    for (std::size_t at = 0; at < canonical.size(); ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string changed = canonical;
        changed[at] = static_cast<char>(byte);
        const bool same = ascii::iequals(changed, canonical);
        ASSERT_EQ(lookup(changed) == field, same) << canonical << " with " << byte << " at " << at;
      }
    }
  }
}

TEST(FieldNames, UnknownHasNoSpelling) { EXPECT_EQ(name(FieldName::unknown), ""); }

class FieldsTest : public testing::Test {
 protected:
  std::string text(const Fields& fields) const {
    std::string out;
    for (const Field& field : fields)
      out.append(field.name).append("=").append(field.value).append(" ");
    return out;
  }
  Arena arena_;
  Fields fields_{arena_};
};

TEST_F(FieldsTest, KeepOrderAndSpelling) {
  fields_.add("x-own", "1");
  fields_.add("hOST", "a");
  fields_.add(FieldName::date, "d");
  EXPECT_EQ(text(fields_), "x-own=1 hOST=a Date=d ");
  EXPECT_EQ(fields_.size(), 3U);
  EXPECT_FALSE(fields_.empty());
}

TEST_F(FieldsTest, FindTheFirstOfAName) {
  fields_.add("Via", "1");
  fields_.add("via", "2");
  fields_.add("X-Own", "3");
  fields_.add("x-own", "4");
  EXPECT_EQ(fields_.get(FieldName::via), "1");
  EXPECT_EQ(fields_.get("VIA"), "1");
  EXPECT_EQ(fields_.get("X-OWN"), "3");
  EXPECT_EQ(fields_.count(FieldName::via), 2U);
}

TEST_F(FieldsTest, FindNothingThatIsAbsent) {
  fields_.add("Via", "1");
  EXPECT_FALSE(fields_.has(FieldName::host));
  EXPECT_FALSE(fields_.has(FieldName::unknown));
  EXPECT_EQ(fields_.find(FieldName::host), nullptr);
  EXPECT_EQ(fields_.find("x-own"), nullptr);
  EXPECT_EQ(fields_.get("x-own"), "");
  EXPECT_EQ(fields_.count(FieldName::host), 0U);
}

TEST_F(FieldsTest, SetReplacesAllAtThePlaceOfTheFirst) {
  fields_.add("Via", "1");
  fields_.add("Date", "d");
  fields_.add("via", "2");
  fields_.set(FieldName::via, "3");
  EXPECT_EQ(text(fields_), "Via=3 Date=d ");
}

TEST_F(FieldsTest, SetByNameKnowsBothKindsOfNames) {
  fields_.add("X-Own", "1");
  fields_.add("host", "a");
  fields_.add("x-own", "2");
  fields_.set("x-OWN", "3");
  fields_.set("HOST", "b");
  EXPECT_EQ(text(fields_), "x-OWN=3 Host=b ");
}

TEST_F(FieldsTest, SetAddsWhatIsAbsent) {
  fields_.set(FieldName::host, "a");
  fields_.set("X-Own", "1");
  EXPECT_EQ(text(fields_), "Host=a X-Own=1 ");
  EXPECT_TRUE(fields_.has(FieldName::host));
}

TEST_F(FieldsTest, RemoveTakesEveryFieldOfAName) {
  fields_.add("Via", "1");
  fields_.add("X-Own", "2");
  fields_.add("Via", "3");
  EXPECT_EQ(fields_.remove(FieldName::via), 2U);
  EXPECT_EQ(fields_.remove(FieldName::via), 0U);
  EXPECT_FALSE(fields_.has(FieldName::via));
  EXPECT_EQ(fields_.remove("x-OWN"), 1U);
  EXPECT_TRUE(fields_.empty());
}

TEST_F(FieldsTest, RemoveIfKeepsWhatIsLeftFindable) {
  fields_.add("Via", "1");
  fields_.add("Date", "2");
  EXPECT_EQ(fields_.remove_if([](const Field& field) { return field.value == "1"; }), 1U);
  EXPECT_FALSE(fields_.has(FieldName::via));
  EXPECT_EQ(fields_.get(FieldName::date), "2");
}

TEST_F(FieldsTest, GrowBeyondTheirFirstRoom) {
  for (int i = 0; i < 100; ++i) fields_.add("X-Own", arena_.copy(std::to_string(i)));
  ASSERT_EQ(fields_.size(), 100U);
  EXPECT_EQ(fields_.begin()[0].value, "0");
  EXPECT_EQ(fields_.begin()[99].value, "99");
}

TEST_F(FieldsTest, JoinLeavesEmptyValuesOut) {
  fields_.add("Via", "");
  fields_.add("Via", "1");
  fields_.add("Host", "a");
  fields_.add("via", "2");
  fields_.add("Via", "");
  EXPECT_EQ(fields_.join(FieldName::via, ", "), "1, 2");
  EXPECT_EQ(fields_.join(FieldName::via, ", ", "3"), "1, 2, 3");
  EXPECT_EQ(fields_.join(FieldName::cookie, "; "), "");
  EXPECT_EQ(fields_.join(FieldName::cookie, "; ", "3"), "3");
}

TEST_F(FieldsTest, JoinCopiesNothingWhereThereIsButOneValue) {
  const std::string_view only = "1";
  fields_.add("Via", "");
  fields_.add("Via", only);
  EXPECT_EQ(fields_.join(FieldName::via, ", ").data(), only.data());
  EXPECT_EQ(fields_.join(FieldName::host, ", ", only).data(), only.data());
}

TEST_F(FieldsTest, MoveLeavesAnEmptyList) {
  fields_.add("Via", "1");
  Fields moved = std::move(fields_);
  EXPECT_EQ(moved.get(FieldName::via), "1");
  EXPECT_TRUE(fields_.empty());
  EXPECT_FALSE(fields_.has(FieldName::via));
  fields_ = std::move(moved);
  EXPECT_EQ(text(fields_), "Via=1 ");
}

TEST_F(FieldsTest, CloneOwnsItsText) {
  Arena other;
  std::string name = "x-own";
  std::string value = "1";
  fields_.add(name, value);
  fields_.add(FieldName::host, value);
  const Fields copy = fields_.clone_into(other);
  name = "-----";
  value = "-";
  EXPECT_EQ(text(copy), "x-own=1 Host=1 ");
  EXPECT_EQ(copy.get(FieldName::host), "1");
}

TEST_F(FieldsTest, RemovesAllOfSeveralNamesAtOnce) {
  fields_.add("Via", "1");
  fields_.add("TE", "trailers");
  fields_.add("x-own", "1");
  fields_.add("te", "gzip");
  EXPECT_EQ(fields_.remove_all(names_of({FieldName::te, FieldName::upgrade})), 2U);
  EXPECT_EQ(text(fields_), "Via=1 x-own=1 ");
  EXPECT_FALSE(fields_.has(FieldName::te));
}

TEST_F(FieldsTest, NoSetOfNamesHoldsWhatIsNotKnown) {
  fields_.add("x-own", "1");
  EXPECT_EQ(fields_.remove_all(~FieldNames{0}), 0U);
  EXPECT_EQ(text(fields_), "x-own=1 ");
}

TEST_F(FieldsTest, TellsWhetherThereAreNamesThatAreNotKnown) {
  fields_.add("Via", "1");
  EXPECT_FALSE(fields_.has_unknown());
  fields_.add("x-own", "1");
  EXPECT_TRUE(fields_.has_unknown());
  fields_.remove("x-own");
  EXPECT_FALSE(fields_.has_unknown());
}

TEST(FieldNames, AreInLowerCaseForHttp2) {
  for (std::size_t i = 0; i < kFieldNameCount; ++i) {
    const auto field = static_cast<FieldName>(i);
    EXPECT_EQ(lower_name(field), ascii::lower(name(field)));
  }
}

TEST_F(FieldsTest, ClearForgetsEverything) {
  fields_.add("Via", "1");
  fields_.clear();
  EXPECT_TRUE(fields_.empty());
  EXPECT_EQ(fields_.find("Via"), nullptr);
}

}  // namespace
}  // namespace revproxyd::http
