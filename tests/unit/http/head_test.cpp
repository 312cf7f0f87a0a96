#include "revproxyd/http/head.h"

#include <gtest/gtest.h>

namespace revproxyd::http {
namespace {

TEST(Methods, AreCaseSensitiveTokens) {
  EXPECT_EQ(lookup_method("GET"), Method::get);
  EXPECT_EQ(lookup_method("HEAD"), Method::head);
  EXPECT_EQ(lookup_method("POST"), Method::post);
  EXPECT_EQ(lookup_method("PUT"), Method::put);
  EXPECT_EQ(lookup_method("DELETE"), Method::delete_);
  EXPECT_EQ(lookup_method("OPTIONS"), Method::options);
  EXPECT_EQ(lookup_method("PATCH"), Method::patch);
  EXPECT_EQ(lookup_method("CONNECT"), Method::connect);
  EXPECT_EQ(lookup_method("TRACE"), Method::trace);
  for (const char* token : {"get", "GETS", "", "PURGE"})
    EXPECT_EQ(lookup_method(token), Method::other) << token;
}

TEST(Methods, KnowWhichAreSafe) {
  for (Method method : {Method::get, Method::head, Method::options, Method::trace})
    EXPECT_TRUE(is_safe(method));
  for (Method method : {Method::post, Method::put, Method::delete_, Method::patch, Method::connect,
                        Method::other}) {
    EXPECT_FALSE(is_safe(method));
  }
}

}  // namespace
}  // namespace revproxyd::http
