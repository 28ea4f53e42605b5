// Faults planned through the control port: the n-th command of a kind from now ends with the sense given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sense.h"

// What a fault waits for.
namespace fault {
inline constexpr char read = 'r';           // READ
inline constexpr char write = 'w';          // WRITE, ERASE
inline constexpr char writeFilemarks = 'f'; // WRITE FILEMARKS, with a count of 0 too
inline constexpr char locate = 'l';         // LOCATE, SPACE, REWIND
inline constexpr char load = 'L';           // LOAD UNLOAD with LOAD set
inline constexpr char move = 'm';           // MOVE MEDIUM
inline constexpr const char *kinds = "rwflLm";
}  // namespace fault

struct Fault {
  char kind;
  unsigned commandsLeft;  // it fires when this becomes 0
  Sense sense;
};

class Faults {
 public:
  void plan(const Fault &fault) { planned_.push_back(fault); }

  // Called by a command that is about to do its work; nothing of it has happened yet.
  // Throws CheckCondition where a fault fires, which forgets it.
  void pass(char kind);

  // One line a fault that has not fired.
  std::string describe(unsigned unit) const;

 private:
  std::vector<Fault> planned_;
};
