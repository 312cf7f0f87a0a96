#pragma once
// Limits that no operator needs to change, each with its name. What an operator may change is in
// the settings.

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace revproxyd::limits {

// A coroutine's turn: after so many completions or bytes it goes to the end of the ready queue.
inline constexpr std::size_t kTurnCompletions = 64;
inline constexpr std::size_t kTurnBytes = 256 * 1024;

// Events taken from the kernel in one call, and coroutines run before the kernel is asked again.
inline constexpr std::size_t kEventBatch = 256;
inline constexpr std::size_t kReadyBatch = 256;

// Steps of handshakes in a turn: each takes a good part of a millisecond.
inline constexpr std::size_t kTurnCostly = 4;

// What a peer may make OpenSSL do on a connection that is open, in steps of its state machine (a
// key update takes one, and two more when it is to be answered): so many, and another for each so
// many bytes of data.
inline constexpr std::uint64_t kTlsSteps = 128;
inline constexpr std::uint64_t kTlsStepBytes = 4096;

// New connections of a listener in a turn: each costs as much as many requests.
inline constexpr std::size_t kTurnAccepts = 4;

// Frames that a connection may bring in a turn, where a head counts as many and another time for
// each so many bytes; and how many connections that sent more go on in a turn.
inline constexpr std::size_t kTurnFrames = 1024;
inline constexpr std::size_t kTurnHead = 128;
inline constexpr std::size_t kTurnHeadBytes = 8;
inline constexpr std::size_t kTurnLate = 4;

// A batch of events that takes longer than this is counted and told: nobody else is served
// meanwhile.
inline constexpr std::chrono::milliseconds kLongTurn{250};

// A connection of HTTP/1 that waits for its next request gives back what serves it after so long,
// and at once while more than so many others of the worker wait.
inline constexpr std::chrono::milliseconds kRestAfter{250};
inline constexpr std::size_t kMostAwake = 128;

// Buffers of a connection: the first read, a streaming read, and what small writes are gathered up
// to.
inline constexpr std::size_t kFirstRead = 4 * 1024;
inline constexpr std::size_t kStreamRead = 64 * 1024;
inline constexpr std::size_t kGather = 16 * 1024;

// Bodies of a thread that are read by more than kGather at once; those beyond are read by as much.
inline constexpr std::size_t kLargeReads = 256;

// What is left of a body from which on it goes past the process where it can.
inline constexpr std::size_t kSpliceFrom = 128 * 1024;

// What lies unsent in the kernel for a connection of HTTP/2 to a client.
inline constexpr std::size_t kUnsent = 128 * 1024;

// Bounds of a head where the configuration sets none (0).
inline constexpr std::size_t kMostHeadBytes = 1024 * 1024;
inline constexpr std::size_t kMostFields = 10000;

// When one side of a tunnel has ended, how long the other may be silent before it is ended too.
inline constexpr std::chrono::milliseconds kTunnelEnd{10000};

// A request body up to this size is kept so that the request can be tried again on another server.
inline constexpr std::size_t kReplayBody = 64 * 1024;

// What is still read of a request body after the response, so that the connection can be kept.
inline constexpr std::size_t kDrainBytes = 64 * 1024;
// While clients are to go, how long is waited for what one has yet to send.
inline constexpr std::chrono::milliseconds kDrainTime{1000};

// Before a close input is read and thrown away so that the answer is not lost to a reset: while it
// is on its way, until so much has come and so much time has passed; once more as long when it has
// arrived. And how often is looked whether it has. So much also behind an alert of TLS.
inline constexpr std::size_t kLingerBytes = 1024 * 1024;
inline constexpr std::chrono::milliseconds kLingerTime{2000};
inline constexpr std::chrono::milliseconds kLingerLook{500};
// What a read that throws away counts for at least, where bytes are the limit: small ones cost as
// much.
inline constexpr std::size_t kDiscardLeast = 1024;
// Where timeouts.write is no limit.
inline constexpr std::chrono::milliseconds kClosingStall{30000};
// So much arrives within a round trip even on a new connection (RFC 6928: ten segments) where the
// client has room for it: one that expects no more of it has nothing to send in that time.
inline constexpr std::size_t kSoonTaken = 14600;

// How long the connection of a client that was sent away for what it did stays open, unread: who
// waits for its end does not come again at once.
inline constexpr std::chrono::milliseconds kSentAway{1000};

// When a client that sent Expect: 100-continue is told to go on without a word from the backend.
inline constexpr std::chrono::milliseconds kContinueDelay{1000};

// Certificates of one client as they are told to servers, both fields together: what common servers
// take of a head leaves room for the request beside it. Beyond: the handshake fails.
inline constexpr std::size_t kClientCertBytes = 16 * 1024;

// Interim responses of one backend answer; more is malformed.
inline constexpr std::uint32_t kInterimResponses = 16;

// A body may be slower than limits.min_rate for so long.
inline constexpr std::chrono::milliseconds kRateGrace{10000};

// Requests that share one connection to a server, where the server allows as many.
inline constexpr std::size_t kStreamsPerConnection = 100;

// Idle connections to a server beyond keepalive.max_idle stay for so long: bursts want them again.
inline constexpr std::chrono::milliseconds kSurplusIdle{1000};

// A connection to a server that multiplexes takes no stream for so long, so that it may become idle
// and its place go to a worker that has none; it serves for so long before it rests again.
inline constexpr std::chrono::milliseconds kPoolRest{100};
inline constexpr std::chrono::milliseconds kPoolServe{1000};

// While a place for a new connection is wanted and there is none, one that is too old to take
// streams has so long to end; then it serves on for as long again as it may live.
inline constexpr std::chrono::milliseconds kPoolFarewell{250};

// A request that is not idempotent uses a kept connection only if it has been idle for less.
inline constexpr std::chrono::milliseconds kFreshIdle{1000};

}  // namespace revproxyd::limits
