// INQUIRY: standard data and vital product data (SPC-4 6.6 and 7.8).
#include "logical_unit.h"

void LogicalUnit::inquiry(const Command &command, Reply &reply) const {
  const bool isVitalProduct = command.cdb[1] & 0x01;  // EVPD
  if (isVitalProduct) {
    vitalProduct(command.cdb[2], reply.data);
  } else {
    if (command.cdb[2]) throw CheckCondition{condition::invalidFieldInCdb};
    standardInquiry(reply.data);
  }
}

void LogicalUnit::standardInquiry(Bytes &data) const {
  data = {identity.deviceType, 0x80, 0x06, 0x02, 91, 0, 0, 0x02};  // removable, SPC-4, format 2, length, CMDQUE
  appendText(data, 8, vendor);
  appendText(data, 16, identity.product);
  appendText(data, 4, "0100");  // revision
  appendText(data, 20, identity.serial);
  data.resize(96);
}

void LogicalUnit::vitalProduct(uint8_t page, Bytes &data) const {
  Bytes body;
  switch (page) {
    case 0x00: {  // supported VPD pages
      body = {0x00, 0x80, 0x83};
      append(body, vitalProductPages());
      break;
    }
    case 0x80:  // unit serial number
      appendText(body, unsigned(identity.serial.size()), identity.serial);
      break;
    case 0x83: {                                // device identification
      append(body, 4, 0x02010000);              // ASCII, T10 vendor identification
      body[3] = uint8_t(24 + identity.serial.size());
      appendText(body, 8, vendor);
      appendText(body, 16, identity.product);
      appendText(body, unsigned(identity.serial.size()), identity.serial);
      append(body, 4, 0x01030008);              // binary, NAA, 8 bytes
      append(body, 8, 0x3000000100000000 + number);  // NAA 3h, locally assigned
      break;
    }
    default:
      if (!vitalProductData(page, body)) throw CheckCondition{condition::invalidFieldInCdb};
  }
  data = {identity.deviceType, page};
  append(data, 2, body.size());
  append(data, body);
}
