#include "revproxyd/http/hop_by_hop.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace revproxyd::http {
namespace {

class HopByHopTest : public testing::Test {
 protected:
  std::string names_left() {
    remove_hop_by_hop(fields_);
    std::string out;
    for (const Field& field : fields_) out.append(field.name).append(" ");
    return out;
  }
  Arena arena_;
  Fields fields_{arena_};
};

TEST_F(HopByHopTest, RemovesTheFieldsOfOneConnection) {
  for (const char* name :
       {"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
        "Upgrade", "HTTP2-Settings", "Proxy-Authenticate", "Proxy-Authorization"}) {
    fields_.add(name, "x");
  }
  fields_.add("Accept", "y");
  fields_.add("X-Own", "z");
  EXPECT_EQ(names_left(), "Accept X-Own ");
}

TEST_F(HopByHopTest, RemovesWhatConnectionNames) {
  fields_.add("X-Own", "1");
  fields_.add("Connection", "close, x-OWN ,, Referer");
  fields_.add("Referer", "2");
  fields_.add("x-own", "3");
  fields_.add("X-Other", "4");
  EXPECT_EQ(names_left(), "X-Other ");
}

TEST_F(HopByHopTest, ReadsEveryConnectionField) {
  fields_.add("Connection", "a");
  fields_.add("Connection", "b");
  fields_.add("A", "1");
  fields_.add("B", "2");
  EXPECT_EQ(names_left(), "");
}

TEST_F(HopByHopTest, KeepsWhatAPeerMustNotTakeAway) {
  fields_.add("Connection",
              "Host, Content-Length, Authorization, Cookie, Forwarded, Via, X-Forwarded-For, "
              "X-Forwarded-Proto, "
              "X-Forwarded-Host, X-Forwarded-Port, X-Real-IP, X-Request-Id");
  for (const char* name : {"Host", "Content-Length", "Authorization", "Cookie", "Forwarded",
                           "X-Forwarded-For", "X-Real-IP"}) {
    fields_.add(name, "1");
  }
  EXPECT_EQ(names_left(),
            "Host Content-Length Authorization Cookie Forwarded X-Forwarded-For X-Real-IP ");
}

TEST_F(HopByHopTest, LeavesAMessageWithoutThemAsItIs) {
  fields_.add("Accept", "1");
  fields_.add("X-Own", "2");
  EXPECT_EQ(names_left(), "Accept X-Own ");
}

TEST_F(HopByHopTest, FindsTokensOfLists) {
  fields_.add("Connection", "foo");
  fields_.add("Connection", " Bar\t,baz");
  for (const char* token : {"foo", "BAR", "baz"})
    EXPECT_TRUE(list_has_token(fields_, FieldName::connection, token)) << token;
  for (const char* token : {"ba", "bar ", "foobar", "barbaz"}) {
    EXPECT_FALSE(list_has_token(fields_, FieldName::connection, token)) << token;
  }
  EXPECT_FALSE(list_has_token(fields_, FieldName::upgrade, "foo"));
}

TEST(Trailers, MayCarryWhatOnlyDescribes) {
  for (const char* name :
       {"ETag", "X-Checksum", "Content-Digest", "Server-Timing", "grpc-status", "Proxy-Status"}) {
    EXPECT_TRUE(allowed_in_trailer({name, "x", lookup(name)})) << name;
  }
}

TEST(Trailers, MustNotCarryWhatFramesRoutesOrAuthenticates) {
  for (const char* name : {"Transfer-Encoding",
                           "Content-Length",
                           "Host",
                           "Connection",
                           "Cache-Control",
                           "Expect",
                           "Max-Forwards",
                           "Pragma",
                           "Range",
                           "TE",
                           "If-Match",
                           "If-None-Match",
                           "Authorization",
                           "Proxy-Authorization",
                           "Cookie",
                           "Set-Cookie",
                           "Age",
                           "Date",
                           "Expires",
                           "Location",
                           "Retry-After",
                           "Vary",
                           "Warning",
                           "Content-Encoding",
                           "Content-Type",
                           "Content-Range",
                           "Trailer",
                           "X-Forwarded-For",
                           "x-forwarded-server",
                           "Forwarded",
                           "proxy-foo",
                           "Upgrade"}) {
    EXPECT_FALSE(allowed_in_trailer({name, "x", lookup(name)})) << name;
  }
}

struct Switch {
  const char* offered;
  std::vector<const char*> upgrade;
  bool allowed;
};

TEST(SwitchesAsOffered, OnlyToProtocolsThatWereOffered) {
  for (const Switch& one : {
           Switch{"websocket", {"websocket"}, true},
           Switch{"websocket", {"WebSocket"}, true},
           Switch{"websocket", {" websocket , "}, true},
           Switch{"websocket", {"websocket/13"}, true},
           Switch{"irc/6.9, websocket", {"websocket"}, true},
           Switch{"irc/6.9, websocket", {"IRC/6.9"}, true},
           Switch{"TLS/1.2, irc", {"tls/1.2, irc/7"}, true},
           Switch{"TLS/1.2, irc", {"tls/1.2", "irc"}, true},
           Switch{"websocket", {}, false},
           Switch{"websocket", {""}, false},
           Switch{"websocket", {" , "}, false},
           Switch{"websocket", {"h2c"}, false},
           Switch{"websocket", {"web"}, false},
           Switch{"websocket", {"websockets"}, false},
           Switch{"websocket", {"websocket, h2c"}, false},
           Switch{"websocket", {"websocket", "h2c"}, false},
           Switch{"irc/6.9", {"irc/7"}, false},
           Switch{"irc/6.9", {"irc"}, false},
           Switch{"", {"websocket"}, false},
           Switch{"", {""}, false},
           Switch{" , ", {"/1"}, false},
       }) {
    Arena arena;
    Fields fields(arena);
    std::string shown;
    for (const char* value : one.upgrade) {
      fields.add("Upgrade", value);
      shown.append("[").append(value).append("]");
    }
    EXPECT_EQ(switches_as_offered(fields, one.offered), one.allowed)
        << one.offered << " -> " << shown;
  }
}

}  // namespace
}  // namespace revproxyd::http
