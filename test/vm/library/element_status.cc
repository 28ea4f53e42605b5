// READ ELEMENT STATUS (SMC-3 6.12).
#include "changer.h"

namespace {

constexpr unsigned volumeTagBytes = 36, identifierHeaderBytes = 4, serialBytes = 10;
constexpr unsigned driveIdentifierBytes = 8 + 16 + serialBytes;  // vendor, product, serial number

struct Wanted {
  bool withVolumeTags;  // VOLTAG
  bool withDeviceIds;   // DVCID
};

uint8_t flagsOf(const Element &element) {
  uint8_t flags = element.cartridge ? 0x01 : 0;        // FULL
  if (element.isPlacedByPerson) flags |= 0x02;         // IMPEXP
  if (element.type == ElementType::port) flags |= 0x30;  // INENAB, EXENAB
  // ACCESS: the picker can reach in, which a loaded drive does not allow.
  const bool isLoaded = element.drive && element.cartridge && element.drive->isLoaded();
  if (element.type != ElementType::picker && !isLoaded) flags |= 0x08;
  return flags;
}

void appendDescriptor(Bytes &page, const Element &element, const Wanted &wanted) {
  append(page, 2, element.address);
  page.push_back(flagsOf(element));
  page.resize(page.size() + 6);
  const bool hasSource = element.cartridge && element.source;
  page.push_back(hasSource ? 0x80 : 0);  // SVALID
  append(page, 2, hasSource ? element.source : 0);
  if (wanted.withVolumeTags) {
    if (element.cartridge && !element.cartridge->barcode.empty()) {
      appendText(page, 32, element.cartridge->barcode);
    } else {
      page.resize(page.size() + 32);
    }
    append(page, 4, 0);
  }
  if (!wanted.withDeviceIds) return;
  if (element.drive) {
    append(page, 4, 0x02010000 | driveIdentifierBytes);  // ASCII, T10 vendor identification
    appendText(page, 8, vendor);
    appendText(page, 16, element.drive->identity.product);
    appendText(page, serialBytes, element.drive->identity.serial);
  } else {
    append(page, identifierHeaderBytes, 0);
  }
}

size_t descriptorBytes(ElementType type, const Wanted &wanted) {
  size_t bytes = 12;
  if (wanted.withVolumeTags) bytes += volumeTagBytes;
  if (wanted.withDeviceIds) bytes += identifierHeaderBytes;
  if (wanted.withDeviceIds && type == ElementType::drive) bytes += driveIdentifierBytes;
  return bytes;
}

}  // namespace

void Changer::readElementStatus(const Command &command, Reply &reply) const {
  const unsigned wantedType = command.cdb[1] & 0x0f;  // 0: all
  const Wanted wanted = {bool(command.cdb[1] & 0x10), bool(command.cdb[6] & 0x01)};
  const uint16_t start = get16(command.at(2)), countMax = get16(command.at(4));
  if (wantedType > unsigned(ElementType::drive)) throw CheckCondition{condition::invalidFieldInCdb};
  Bytes pages;
  uint16_t first = 0, count = 0;
  for (const ElementType type : {ElementType::picker, ElementType::slot, ElementType::port, ElementType::drive}) {
    if (wantedType && wantedType != unsigned(type)) continue;
    Bytes page;
    for (const Element &element : elements) {
      if (element.type != type || element.address < start || count == countMax) continue;
      if (count++ == 0) first = element.address;
      appendDescriptor(page, element, wanted);
    }
    if (page.empty()) continue;
    pages.push_back(uint8_t(type));
    pages.push_back(wanted.withVolumeTags ? 0x80 : 0);  // PVOLTAG
    append(pages, 2, descriptorBytes(type, wanted));
    append(pages, 4, page.size());
    append(pages, page);
  }
  append(reply.data, 2, first);
  append(reply.data, 2, count);
  append(reply.data, 4, pages.size());  // of the whole report, also where the host has less room
  append(reply.data, pages);
}
