#include "queue.h"

#include "request.h"

namespace {

/** A queue that was this long once gives its memory back. */
constexpr size_t kKeptBytes = 1 << 20;

/** Where the last whole request before `bytes_max` ends; behind the first one, however long that is. */
size_t whole_requests(const char* bytes, size_t length, size_t bytes_max) {
  size_t end = 0;
  while (end < length) {
    const size_t next = end + copied<InHeader>(bytes + end).length;
    if (next > bytes_max && end > 0) break;
    end = next;
  }
  return end;
}

}  // namespace

void RequestQueue::add(const char* request, size_t length, bool is_urgent) {
  (is_urgent ? urgent_ : waiting_).append(request, length);
}

std::string RequestQueue::take(size_t bytes_max) {
  if (!urgent_.empty()) {
    const size_t end = whole_requests(urgent_.data(), urgent_.size(), bytes_max);
    std::string requests = urgent_.substr(0, end);
    urgent_.erase(0, end);
    return requests;
  }
  const size_t end = whole_requests(waiting_.data() + taken_, waiting_.size() - taken_, bytes_max);
  std::string requests = waiting_.substr(taken_, end);
  taken_ += end;
  if (taken_ == waiting_.size()) {
    taken_ = 0;
    waiting_.clear();
    if (waiting_.capacity() > kKeptBytes) waiting_.shrink_to_fit();
  } else if (taken_ > waiting_.size() / 2) {
    waiting_.erase(0, taken_);
    taken_ = 0;
  }
  return requests;
}

bool RequestQueue::remove(uint64_t unique) {
  for (size_t at = taken_; at < waiting_.size();) {
    const auto header = copied<InHeader>(waiting_.data() + at);
    if (header.unique == unique) {
      waiting_.erase(at, header.length);
      return true;
    }
    at += header.length;
  }
  return false;
}

void RequestQueue::clear() {
  urgent_.clear();
  waiting_.clear();
  taken_ = 0;
}
