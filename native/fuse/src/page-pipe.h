/** A pipe through which pages of a file go to the kernel as they are: not copied, and not mapped, which costs as much. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol.h"

/** One thread's own. */
class PagePipe {
 public:
  /** Where the machine has none to give it has no room. */
  PagePipe();
  PagePipe(const PagePipe&) = delete;
  PagePipe& operator=(const PagePipe&) = delete;
  ~PagePipe();

  /**
   * Sends a header and bytes of the file as one reply. False where that was not possible, and then it may be sent another way: too
   * much for the pipe, a file that has less by now, or a reader who is gone.
   */
  bool send(int device, const OutHeader& header, int file, uint64_t offset, size_t length);

 private:
  bool fill(const OutHeader& header, int file, uint64_t offset, size_t length);
  void empty();

  int out_ = -1;
  int in_ = -1;
  size_t pages_ = 0;
};
