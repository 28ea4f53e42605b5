#include "office.h"

void Office::post(Ticket ticket, int result) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (is_left_) return;
  answers_.emplace_back(ticket, result);
  rung();
}

void Office::ring() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!is_left_) rung();
}

std::vector<std::pair<Ticket, int>> Office::collect() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(answers_, {});
}

void Office::leave() {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_left_ = true;
}
