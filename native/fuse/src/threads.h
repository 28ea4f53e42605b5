/** Threads of a session: started together, all signals blocked, joined together. */
#pragma once

#include <pthread.h>

#include <functional>
#include <vector>

class Threads {
 public:
  Threads() = default;
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  /** Starts one more. False where the machine has none left. */
  bool start(const char* name, std::function<void()> run);
  /** Those that nobody waited for end by themselves. */
  ~Threads();
  /** Returns when all have ended. May be called again. */
  void join();

 private:
  std::vector<pthread_t> threads_;
};

/** Runs `work` on a thread that nobody waits for. False where the machine has none left. */
bool start_detached(const char* name, std::function<void()> work);
