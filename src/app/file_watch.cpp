#include "app/file_watch.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace revproxyd::app {

std::string signature_of(const std::vector<std::string>& files) {
  std::string text;
  for (const auto& file : files) {
    struct stat status {};
    if (!file.empty() && ::stat(file.c_str(), &status) == 0) {
      text += std::to_string(status.st_ino) + "." + std::to_string(status.st_size) + "." +
              std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec);
    }
    text += ';';
  }
  return text;
}

void FileWatch::watch(std::vector<std::string> files, std::string signature, bool again,
                      TimePoint now) {
  files_ = std::move(files);
  taken_ = settling_ = std::move(signature);
  if (again)
    refused(now);
  else
    pause_ = Duration::zero();
}

void FileWatch::refused(TimePoint now) {
  pause_ = std::max(pause_, kFirstTry);
  next_try_ = now + pause_;
}

bool FileWatch::look(TimePoint now) {
  std::string found = signature_of(files_);
  const bool settled = found == settling_;
  settling_ = std::move(found);
  if (settling_ == taken_) {
    if (pause_ == Duration::zero() || now < next_try_) return false;
    // Here, and not where the try fails: one that somebody else makes lengthens nothing.
    pause_ = std::min(pause_ * 2, kLastTry);
    return true;
  }
  if (!settled) return false;
  taken_ = settling_;
  pause_ = Duration::zero();
  return true;
}

}  // namespace revproxyd::app
