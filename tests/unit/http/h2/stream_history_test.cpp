// What may still come for streams that are over (RFC 9113 sections 5.1 and 5.1.1).

#include "http/h2/stream_history.h"

#include <gtest/gtest.h>

namespace revproxyd::http::h2 {

TEST(StreamHistory, AStreamThatIsNewIsInOrder) {
  StreamHistory history;
  EXPECT_FALSE(history.fault_of_frame(1));
  history.note_opened(1);
  EXPECT_FALSE(history.fault_of_frame(3));
}

TEST(StreamHistory, TheConnectionItselfIsNoStream) {
  StreamHistory history;
  history.note_opened(1);
  EXPECT_FALSE(history.fault_of_frame(0));
}

TEST(StreamHistory, AStreamThatHasEndedIsClosed) {
  StreamHistory history;
  history.note_opened(1);
  history.note_opened(3);
  EXPECT_EQ(history.fault_of_frame(1), ErrorCode::stream_closed);
  EXPECT_EQ(history.fault_of_frame(3), ErrorCode::stream_closed);
}

TEST(StreamHistory, AStreamThatWasLeftOutCannotBeOpened) {
  StreamHistory history;
  history.note_opened(1);
  history.note_opened(7);
  EXPECT_EQ(history.fault_of_frame(1), ErrorCode::stream_closed);
  EXPECT_EQ(history.fault_of_frame(3), ErrorCode::protocol_error);
  EXPECT_EQ(history.fault_of_frame(5), ErrorCode::protocol_error);
  EXPECT_EQ(history.fault_of_frame(7), ErrorCode::stream_closed);
}

TEST(StreamHistory, FramesOnTheirWayWhenThisSideResetAreInOrder) {
  StreamHistory history;
  history.note_opened(1);
  history.note_opened(3);
  history.note_reset(1);
  EXPECT_TRUE(history.was_reset(1));
  EXPECT_FALSE(history.was_reset(3));
  EXPECT_FALSE(history.fault_of_frame(1));
  EXPECT_EQ(history.fault_of_frame(3), ErrorCode::stream_closed);
}

TEST(StreamHistory, WhatItHasForgottenIsTakenForLawful) {
  StreamHistory history;
  for (StreamId id = 1; id < 1001; id += 2) history.note_opened(id);
  // Of the first nothing is known after so many others, so nothing older is judged either.
  for (StreamId id = 201; id < 1001; id += 2) history.note_reset(id);
  EXPECT_FALSE(history.was_reset(201));
  EXPECT_FALSE(history.fault_of_frame(201));
  EXPECT_FALSE(history.fault_of_frame(1));
  EXPECT_TRUE(history.was_reset(999));
}

}  // namespace revproxyd::http::h2
