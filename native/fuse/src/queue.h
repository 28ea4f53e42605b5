/** Requests that wait for JavaScript, back to back as the kernel sent them. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

class RequestQueue {
 public:
  /** @param is_urgent before all that are not */
  void add(const char* request, size_t length, bool is_urgent);
  /** Whole requests of at most `bytes_max` together, or one that is longer; empty when there is none. */
  std::string take(size_t bytes_max);
  /** False when it does not wait here. */
  bool remove(uint64_t unique);
  void clear();
  size_t size_bytes() const { return urgent_.size() + waiting_.size() - taken_; }

 private:
  std::string urgent_;
  std::string waiting_;
  size_t taken_ = 0;  // bytes of `waiting_` that are gone
};
