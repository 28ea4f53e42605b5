/**
 * How threads reach the JavaScript of one environment: they leave results of what was asked of them and ring; JavaScript comes
 * and looks. Nothing of JavaScript is touched by a thread but the bell, and that not after `leave`.
 *
 * Lock order: a session's mutex may be held when `post` or `ring` is called, never the other way round.
 */
#pragma once

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

/** Names a question JavaScript waits for an answer to; never 0. */
using Ticket = uint64_t;

class Office {
 public:
  Office() = default;
  Office(const Office&) = delete;
  Office& operator=(const Office&) = delete;
  virtual ~Office() = default;

  /** Answers a question, by any thread. Nobody hears it after `leave`. */
  void post(Ticket ticket, int result);
  /** Has JavaScript look at sessions and answers, by any thread. Many rings may be one call. */
  void ring();
  /** What was posted since the last call. */
  std::vector<std::pair<Ticket, int>> collect();
  /** No bell is rung any more once this returns. */
  void leave();

 protected:
  /** Called with the lock held and never after `leave`. */
  virtual void rung() = 0;

 private:
  std::mutex mutex_;
  bool is_left_ = false;
  std::vector<std::pair<Ticket, int>> answers_;
};
