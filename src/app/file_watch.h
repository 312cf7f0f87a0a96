#pragma once
// Files that are taken up when they change, without a reload: certificates, keys and CAs.

#include <string>
#include <vector>

#include "revproxyd/base/units.h"

namespace revproxyd::app {

/// A text that changes when one of the files does (inode, size, time of change); missing ones
/// count. That of several files is those of each, one behind the other.
std::string signature_of(const std::vector<std::string>& files);

/// Says when to take files up: after a change, once two looks have found them alike, for a file may
/// be half written. What could not be taken up is tried again though it has not changed, for the
/// reason may have been elsewhere (no descriptor left, permissions): kFirstTry after the failure,
/// then after twice as long each time that it was due.
class FileWatch {
 public:
  static constexpr Duration kFirstTry{4000};
  static constexpr Duration kLastTry{600000};

  /// These are in use as they were when `signature` was taken, before they were read. `again`: some
  /// of them are not, see above.
  void watch(std::vector<std::string> files, std::string signature, bool again, TimePoint now);
  /// After a look that said true: nothing was taken up.
  void refused(TimePoint now);
  /// True when they are to be taken up.
  bool look(TimePoint now);

 private:
  std::vector<std::string> files_;
  std::string taken_;     // their signature when they were last taken up
  std::string settling_;  // and at the last look
  Duration pause_{0};     // from a failure to the next try; zero when all is well
  TimePoint next_try_{};
};

}  // namespace revproxyd::app
