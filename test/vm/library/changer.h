// The robot: its elements, what lies in them, and MOVE MEDIUM (SMC-3).
#pragma once

#include <memory>
#include <vector>

#include "cartridge.h"
#include "drive.h"
#include "logical_unit.h"

// Element type codes (SMC-3 table 10).
enum class ElementType : uint8_t { picker = 1, slot = 2, port = 3, drive = 4 };

struct Element {
  uint16_t address;
  ElementType type;
  Drive *drive = nullptr;  // for elements of type drive
  std::unique_ptr<Cartridge> cartridge;
  uint16_t source = 0;            // the slot or port the cartridge came from; 0: it was never moved
  bool isPlacedByPerson = false;  // IMPEXP

  void put(std::unique_ptr<Cartridge> arriving);
  std::unique_ptr<Cartridge> take();
};

class Changer final : public LogicalUnit {
 public:
  Changer(const std::vector<std::unique_ptr<Drive>> &drives, unsigned slots, unsigned ports);

  // In ascending order of type, then address.
  std::vector<Element> elements;
  // Null where there is none.
  Element *find(uint16_t address);

  static constexpr uint16_t pickerAddress = 1, firstDrive = 256, firstPort = 768, firstSlot = 1024;

 protected:
  void carryOut(const Command &command, Reply &reply) override;

 private:
  void move(const Command &command);
  void position(const Command &command);
  // element_status.cc
  void readElementStatus(const Command &command, Reply &reply) const;
};
