// READ ATTRIBUTE and WRITE ATTRIBUTE: the cartridge's chip, called MAM (SPC-4 6.18, 6.38 and 7.4).
#include <map>

#include "drive.h"

namespace {

constexpr uint8_t binary = 0, ascii = 1, readOnly = 0x80;  // FORMAT, and the bit before it
constexpr uint16_t hostFirst = 0x0800, hostLast = 0x0fff;  // what a host may write
constexpr size_t hostBytesMax = 1024;                      // room for that, headers of 5 bytes included
constexpr size_t headerBytes = 5;
constexpr unsigned mebibyteShift = 20;

// Identifier to format byte and value, in ascending order.
using Attributes = std::map<uint16_t, HostAttribute>;

HostAttribute number(unsigned bytes, uint64_t value) {
  HostAttribute attribute{readOnly | binary, {}};
  append(attribute.value, bytes, value);
  return attribute;
}

HostAttribute text(unsigned bytes, const std::string &value) {
  HostAttribute attribute{readOnly | ascii, {}};
  appendText(attribute.value, bytes, value);
  return attribute;
}

size_t hostBytes(const Attributes &attributes) {
  size_t bytes = 0;
  for (const auto &[identifier, attribute] : attributes) bytes += headerBytes + attribute.value.size();
  return bytes;
}

Attributes allAttributes(const Cartridge &medium, uint64_t tapeAlerts) {
  Attributes all = medium.attributes;
  all[0x0000] = number(8, (medium.capacityBytes - medium.usedBytes()) >> mebibyteShift);  // remaining, MiB
  all[0x0001] = number(8, medium.capacityBytes >> mebibyteShift);                         // maximum, MiB
  all[0x0002] = number(8, tapeAlerts);
  all[0x0003] = number(8, medium.loads);
  all[0x0004] = number(8, hostBytesMax - hostBytes(medium.attributes));                   // chip space remaining
  all[0x0005] = text(8, "LTO-CVE");                                                       // assigning organization
  all[0x0006] = number(1, Drive::densityCode);
  all[0x0007] = number(2, 1);                                                             // initializations
  all[0x0009] = number(4, medium.changeReference);
  all[0x020a] = text(40, medium.lastDrive);                                               // drive of the last load
  all[0x0220] = number(8, medium.bytesWritten >> mebibyteShift);                          // lifetime written
  all[0x0221] = number(8, medium.bytesRead >> mebibyteShift);                             // lifetime read
  all[0x0400] = text(8, vendor);                                                          // medium manufacturer
  all[0x0401] = text(32, medium.serial);
  all[0x0402] = number(4, 960);                                                           // length in m
  all[0x0403] = number(4, 127);                                                           // width in 0.1 mm
  all[0x0405] = number(1, Drive::densityCode);
  all[0x0406] = text(8, "20260101");                                                      // date of manufacture
  all[0x0407] = number(8, 4096);                                                          // chip capacity in bytes
  all[0x0408] = number(1, medium.isCleaning ? 0x01 : medium.isWorm ? 0x80 : 0x00);        // medium type
  all[0x0409] = number(2, 0);                                                             // its information
  return all;
}

}  // namespace

void Drive::readAttributes(const Command &command, Reply &reply) const {
  constexpr uint8_t values = 0, list = 1;
  const uint8_t action = command.cdb[1] & 0x1f;
  const uint16_t first = get16(command.at(8));
  if (action != values && action != list) throw CheckCondition{condition::invalidFieldInCdb};
  const Attributes all = allAttributes(requireMedium(), tapeAlerts);
  Bytes body;
  for (auto entry = all.lower_bound(first); entry != all.end(); ++entry) {
    append(body, 2, entry->first);
    if (action == list) continue;
    append(body, 1, entry->second.format);
    append(body, 2, entry->second.value.size());
    append(body, entry->second.value);
  }
  if (body.empty() && action == values) throw CheckCondition{condition::invalidFieldInCdb};
  append(reply.data, 4, body.size());
  append(reply.data, body);
}

// Takes over all attributes of the list, or none.
void Drive::writeAttributes(const Command &command) {
  Cartridge &medium = requireMedium();
  if (medium.isWriteProtected) throw CheckCondition{condition::writeProtected};
  const Bytes &list = command.dataOut;
  const size_t bytes = std::min<size_t>(get32(command.at(10)), list.size());
  if (get32(command.at(10)) == 0) return;
  size_t at = 4;  // behind the length of the list
  if (bytes < at) throw CheckCondition{condition::parameterListLengthError};
  Attributes wanted = medium.attributes;
  while (at < bytes) {
    if (bytes - at < headerBytes) throw CheckCondition{condition::parameterListLengthError};
    const uint16_t identifier = get16(&list[at]);
    const uint8_t format = list[at + 2] & 0x03;
    const size_t length = get16(&list[at + 3]);
    at += headerBytes;
    if (length > bytes - at) throw CheckCondition{condition::parameterListLengthError};
    if (identifier < hostFirst || identifier > hostLast) throw CheckCondition{condition::invalidFieldInParameterList};
    wanted.erase(identifier);  // a length of 0 deletes
    if (length) wanted[identifier] = {format, Bytes(list.begin() + at, list.begin() + at + length)};
    at += length;
  }
  if (hostBytes(wanted) > hostBytesMax) throw CheckCondition{condition::auxiliaryMemoryOutOfSpace};
  medium.attributes = std::move(wanted);
}
