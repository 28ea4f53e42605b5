#include "changer.h"

void Element::put(std::unique_ptr<Cartridge> arriving) {
  cartridge = std::move(arriving);
  if (drive) drive->insert(*cartridge);
}

std::unique_ptr<Cartridge> Element::take() {
  if (drive) drive->remove();
  source = 0;
  isPlacedByPerson = false;
  return std::move(cartridge);
}

Changer::Changer(const std::vector<std::unique_ptr<Drive>> &drives, unsigned slots, unsigned ports)
    : LogicalUnit(0, {0x08, "VIRTUAL LIBRARY", "VLIB0001"}, changerOperations()) {
  const auto add = [this](unsigned address, ElementType type, Drive *drive = nullptr) {
    Element element;
    element.address = uint16_t(address);
    element.type = type;
    element.drive = drive;
    elements.push_back(std::move(element));
  };
  add(pickerAddress, ElementType::picker);
  for (unsigned index = 0; index < slots; ++index) add(firstSlot + index, ElementType::slot);
  for (unsigned index = 0; index < ports; ++index) add(firstPort + index, ElementType::port);
  for (unsigned index = 0; index < drives.size(); ++index) {
    add(firstDrive + index, ElementType::drive, drives[index].get());
  }

  // Informational exceptions control: DEXCPT, MRIE 3.
  modePages_.add({0x1c, 0x0a, 0x08, 0x03, 0, 0, 0, 0, 0, 0, 0, 0});
  // Element address assignment: first address and number of each type.
  Bytes assignment = {0x1d, 0x12};
  append(assignment, 2, pickerAddress);
  append(assignment, 2, 1);
  append(assignment, 2, firstSlot);
  append(assignment, 2, slots);
  append(assignment, 2, firstPort);
  append(assignment, 2, ports);
  append(assignment, 2, firstDrive);
  append(assignment, 2, drives.size());
  append(assignment, 2, 0);
  modePages_.add(assignment);
  // Transport geometry: the picker does not turn cartridges.
  modePages_.add({0x1e, 0x02, 0x00, 0x00});
  // Device capabilities: cartridges stay in slots, ports and drives (2), and move between all of these (5-7).
  modePages_.add({0x1f, 0x12, 0x0e, 0, 0, 0x0e, 0x0e, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
}

Element *Changer::find(uint16_t address) {
  for (Element &element : elements) {
    if (element.address == address) return &element;
  }
  return nullptr;
}

void Changer::carryOut(const Command &command, Reply &reply) {
  switch (command.operation()) {
    case 0x00:  // TEST UNIT READY
    case 0x07:  // INITIALIZE ELEMENT STATUS: the inventory is always right
    case 0x37:
    case 0xe7: break;
    case 0x2b: position(command); break;
    case 0xa5: move(command); break;
    case 0xb8: readElementStatus(command, reply); break;
    default: throw CheckCondition{condition::invalidOperationCode};
  }
}

// POSITION TO ELEMENT: takes no time here.
void Changer::position(const Command &command) {
  if (!find(get16(command.at(4)))) throw CheckCondition{condition::invalidElementAddress};
}

// MOVE MEDIUM. A drive gives its cartridge away loaded or not, unless removal is prevented.
void Changer::move(const Command &command) {
  const uint16_t picker = get16(command.at(2));
  Element *source = find(get16(command.at(4))), *destination = find(get16(command.at(6)));
  if (picker != 0 && picker != pickerAddress) throw CheckCondition{condition::invalidElementAddress};
  if (!source || !destination || source->type == ElementType::picker || destination->type == ElementType::picker) {
    throw CheckCondition{condition::invalidElementAddress};
  }
  if (command.cdb[10] & 0x01) throw CheckCondition{condition::invalidFieldInCdb};  // INVERT
  if (!source->cartridge) throw CheckCondition{condition::sourceElementEmpty};
  if (destination->cartridge && destination != source) throw CheckCondition{condition::destinationElementFull};
  if (source->drive && source->drive->isRemovalPrevented()) throw CheckCondition{condition::removalPrevented};
  faults.pass(fault::move);
  const uint16_t origin = source->drive ? source->source : source->address;
  destination->put(source->take());
  destination->source = origin;
}
