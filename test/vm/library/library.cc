#include "library.h"

#include <algorithm>

namespace {

constexpr unsigned drivesMax = 16;  // the kernel's SCSI host takes 16 units of one target
constexpr unsigned slotsMax = 4096, portsMax = 256;  // element addresses of one type end where the next begin
constexpr unsigned mebibyteShift = 20;

std::string barcodeOf(unsigned index, const Shape &shape) {
  if (index < shape.barcodes.size()) return shape.barcodes[index];
  const bool isWorm = index + shape.worm >= shape.cartridges;
  char text[16];
  snprintf(text, sizeof text, isWorm ? "WRM%03uLY" : "VMT%03uL8", (index + 1) % 1000);
  return text;
}

Reply refuse(const Sense &sense) {
  Reply reply;
  reply.sense = sense;
  return reply;
}

}  // namespace

Library::Library(const Shape &shape) : shape_(shape), capacityBytes_(shape.sizeMb << mebibyteShift) {
  if (shape.drives < 1 || shape.drives >= drivesMax) throw Refusal("1 to 15 drives");
  if (shape.slots > slotsMax || shape.ports > portsMax) throw Refusal("at most 4096 slots and 256 ports");
  if (shape.cartridges > shape.slots) throw Refusal("more cartridges than slots");
  if (shape.barcodes.size() > shape.cartridges) throw Refusal("more barcodes than cartridges");
  if (shape.sizeMb < 1 || shape.sizeMb > 1u << 20) throw Refusal("a cartridge has 1 to 1048576 MiB");
  restart();
}

void Library::restart() {
  shelf_.clear();
  changer_.reset();
  drives_.clear();
  for (unsigned number = 1; number <= shape_.drives; ++number) drives_.push_back(std::make_unique<Drive>(number));
  changer_ = std::make_unique<Changer>(drives_, shape_.slots, shape_.ports);
  for (unsigned index = 0; index < shape_.cartridges; ++index) {
    Element &slot = *changer_->find(uint16_t(Changer::firstSlot + index));
    slot.put(std::make_unique<Cartridge>(barcodeOf(index, shape_), capacityBytes_));
  }
}

Drive *Library::drive(uint64_t number) {
  return number >= 1 && number <= drives_.size() ? drives_[number - 1].get() : nullptr;
}

LogicalUnit *Library::unit(uint64_t number) {
  if (number == 0) return changer_.get();
  return drive(number);
}

Reply Library::execute(uint64_t unitNumber, const Command &command) {
  if (LogicalUnit *unit = this->unit(unitNumber)) return unit->execute(command, unitCount());
  Reply reply;
  switch (command.operation()) {
    case 0x03: {  // REQUEST SENSE tells it as data
      const auto sense = condition::logicalUnitNotSupported.encode();
      reply.data.assign(sense.begin(), sense.end());
      break;
    }
    case 0x12:  // INQUIRY: peripheral qualifier 3, device type 1Fh
      if (command.cdb[1] & 0x01) return refuse(condition::invalidFieldInCdb);
      reply.data = {0x7f, 0x00, 0x06, 0x02, 91};
      reply.data.resize(96);
      break;
    case 0xa0: return changer_->execute(command, unitCount());  // REPORT LUNS
    default: return refuse(condition::logicalUnitNotSupported);
  }
  const Operation &operation = findOperation(changerOperations(), command);
  limitToAllocation(operation, command, reply.data);
  return reply;
}

unsigned Library::delayMs(uint64_t unitNumber, const Command &command) {
  const LogicalUnit *unit = this->unit(unitNumber);
  if (!unit) return 0;
  unsigned delay = unit->delayMs;
  if (unitNumber == 0 && command.operation() == 0xa5) {  // MOVE MEDIUM
    for (const unsigned at : {4, 6}) {
      const Element *element = changer_->find(get16(command.at(at)));
      if (element && element->drive) delay += element->drive->delayMs;
    }
  }
  return delay;
}

void Library::resetAll(uint16_t code) {
  for (unsigned number = 0; number < unitCount(); ++number) unit(number)->reset(code);
}

void Library::loseNexus() {
  for (unsigned number = 0; number < unitCount(); ++number) unit(number)->loseNexus();
}

Cartridge &Library::cartridge(const std::string &name) {
  for (Element &element : changer_->elements) {
    if (!element.cartridge) continue;
    if (name == element.cartridge->barcode || name == "@" + std::to_string(element.address)) return *element.cartridge;
  }
  throw Refusal("no such cartridge");
}

Element &Library::elementForPerson(uint16_t address) {
  Element *element = changer_->find(address);
  if (!element || element->type == ElementType::picker) throw Refusal("no such element");
  if (element->type == ElementType::port && changer_->isRemovalPrevented()) throw Refusal("the port is locked");
  return *element;
}

// A port has a door of its own; to reach a slot a person opens the library. A drive tells by itself.
void Library::noticeAccess(const Element &element) {
  if (element.type == ElementType::port) changer_->raise(attention::importExportAccessed);
  if (element.type == ElementType::slot) changer_->raise(attention::mediumMayHaveChanged);
}

void Library::insert(uint16_t address, const std::string &barcode) {
  Element &element = elementForPerson(address);
  if (element.cartridge) throw Refusal("the element is full");
  auto known = std::find_if(shelf_.begin(), shelf_.end(), [&](const auto &one) { return one->barcode == barcode; });
  if (known != shelf_.end()) {
    std::unique_ptr<Cartridge> cartridge = std::move(*known);
    shelf_.erase(known);
    element.put(std::move(cartridge));
  } else {
    element.put(std::make_unique<Cartridge>(barcode, capacityBytes_));
  }
  element.isPlacedByPerson = true;
  noticeAccess(element);
}

void Library::remove(uint16_t address) {
  Element &element = elementForPerson(address);
  if (!element.cartridge) throw Refusal("the element is empty");
  if (element.drive && element.drive->isLoaded()) throw Refusal("the drive is loaded");
  shelf_.push_back(element.take());
  noticeAccess(element);
}

void Library::swap(uint16_t address, uint16_t otherAddress) {
  Element &element = elementForPerson(address), &other = elementForPerson(otherAddress);
  if (element.drive || other.drive) throw Refusal("not with a drive");
  std::unique_ptr<Cartridge> first = element.take(), second = other.take();
  for (auto [target, cartridge] : {std::pair(&element, &second), std::pair(&other, &first)}) {
    if (*cartridge) target->put(std::move(*cartridge));
    target->isPlacedByPerson = target->cartridge != nullptr;
    noticeAccess(*target);
  }
}
