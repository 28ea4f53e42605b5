// The library as a whole: a changer, its drives, and what people do to it by hand.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "changer.h"
#include "drive.h"

struct Shape {
  unsigned drives = 2;
  unsigned slots = 10;
  unsigned ports = 2;
  unsigned cartridges = 8;
  unsigned worm = 0;  // the last of them
  uint64_t sizeMb = 1024;  // MiB
  std::vector<std::string> barcodes;  // of the first ones
};

// What a person asked for and cannot have.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Library {
 public:
  // Throws Refusal for a shape that cannot be.
  explicit Library(const Shape &shape);
  // All as at the start: new blank cartridges in their slots, empty drives just switched on, nothing planned.
  void restart();

  // 0 the changer, from 1 the drives; null where there is none.
  LogicalUnit *unit(uint64_t number);
  unsigned unitCount() const { return unsigned(drives_.size()) + 1; }
  Drive *drive(uint64_t number);
  Changer &changer() { return *changer_; }

  // Answers for units that are not there, too.
  Reply execute(uint64_t unitNumber, const Command &command);
  // How long the command has to wait, by the control port's `delay`. A move also waits for the drives it touches.
  unsigned delayMs(uint64_t unitNumber, const Command &command);

  void resetAll(uint16_t code);
  void loseNexus();

  // By barcode, or as @ADDRESS by the element it lies in. Throws Refusal.
  Cartridge &cartridge(const std::string &name);
  // A person at a port, a slot behind the opened door, or a drive. What is removed lies on the shelf, outside the
  // library, and comes back with its data when its barcode is inserted again.
  void insert(uint16_t address, const std::string &barcode);
  void remove(uint16_t address);
  void swap(uint16_t address, uint16_t other);

 private:
  Element &elementForPerson(uint16_t address);
  void noticeAccess(const Element &element);

  const Shape shape_;
  const uint64_t capacityBytes_;
  std::vector<std::unique_ptr<Drive>> drives_;
  std::unique_ptr<Changer> changer_;
  std::vector<std::unique_ptr<Cartridge>> shelf_;
};
