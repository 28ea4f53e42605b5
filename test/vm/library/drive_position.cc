// Where the tape stands: SPACE, LOCATE, READ POSITION (SSC-4).
#include "drive.h"

void Drive::moveTo(uint64_t position) {
  if (overwriteAllowedAt_ && *overwriteAllowedAt_ != position) overwriteAllowedAt_.reset();
  position_ = position;
  if (!isInProgrammableWarning()) isWarned_ = false;
}

void Drive::space(uint8_t code, int64_t count, Reply &reply) {
  constexpr uint8_t blocks = 0, filemarks = 1, endOfData = 3;
  if (code != blocks && code != filemarks && code != endOfData) throw CheckCondition{condition::invalidFieldInCdb};
  requireReady();
  faults.pass(fault::locate);
  if (code == endOfData) {
    moveTo(cartridge_->end());
  } else if (count >= 0) {
    spaceForward(code == filemarks, uint64_t(count), reply);
  } else {
    spaceBackward(code == filemarks, uint64_t(-(count + 1)) + 1, reply);
  }
}

void Drive::spaceForward(bool overFilemarks, uint64_t count, Reply &reply) {
  uint64_t position = position_;
  for (; count > 0; ++position) {
    if (position >= cartridge_->end()) {
      reply.sense = condition::endOfData.withInformation(uint32_t(count));
      break;
    }
    const bool isFilemark = cartridge_->object(position).isFilemark;
    if (isFilemark && !overFilemarks) {  // stops behind it
      ++position;
      reply.sense = condition::filemarkDetected.withInformation(uint32_t(count));
      break;
    }
    if (isFilemark == overFilemarks) --count;
  }
  moveTo(position);
}

void Drive::spaceBackward(bool overFilemarks, uint64_t count, Reply &reply) {
  uint64_t position = position_;
  while (count > 0) {
    if (position == 0) {
      reply.sense = condition::beginningOfMedium.withInformation(uint32_t(count));
      break;
    }
    const bool isFilemark = cartridge_->object(--position).isFilemark;
    if (isFilemark && !overFilemarks) {  // stops before it
      reply.sense = condition::filemarkDetected.withInformation(uint32_t(count));
      break;
    }
    if (isFilemark == overFilemarks) --count;
  }
  moveTo(position);
}

void Drive::locate(const Command &command) {
  constexpr uint8_t logicalObject = 0, logicalFile = 1, endOfData = 3;
  const bool isLong = command.operation() == 0x92;
  const bool changesPartition = command.cdb[1] & 0x02;  // CP
  const uint8_t partition = isLong ? command.cdb[3] : command.cdb[8];
  const uint8_t destination = isLong ? command.cdb[1] >> 3 & 0x07 : logicalObject;
  // BT of LOCATE(10), "the address is vendor specific", is let through: Linux sets it, and the addresses are the same.
  if (changesPartition && partition != 0) throw CheckCondition{condition::invalidFieldInCdb};
  if (destination != logicalObject && destination != logicalFile && destination != endOfData) {
    throw CheckCondition{condition::invalidFieldInCdb};
  }
  requireReady();
  faults.pass(fault::locate);
  const uint64_t wanted = isLong ? get64(command.at(4)) : get32(command.at(3));
  if (destination == endOfData) {
    moveTo(cartridge_->end());
  } else if (destination == logicalFile) {
    locateFile(wanted);
  } else if (wanted <= cartridge_->end()) {
    moveTo(wanted);
  } else {
    moveTo(cartridge_->end());
    throw CheckCondition{condition::endOfData};
  }
}

// To the first object of a file, which is behind its number of filemarks.
void Drive::locateFile(uint64_t fileNumber) {
  Reply ignored;
  moveTo(0);
  const uint64_t filemarks = cartridge_->filemarksBefore(cartridge_->end());
  if (fileNumber > filemarks) {
    moveTo(cartridge_->end());
    throw CheckCondition{condition::endOfData};
  }
  spaceForward(true, fileNumber, ignored);
}

void Drive::readPosition(const Command &command, Reply &reply) const {
  constexpr uint8_t shortForm = 0x00, shortFormVendor = 0x01, longForm = 0x06, extendedForm = 0x08;
  constexpr uint8_t countsUnknown = 0x30;  // LOCU, BYCU: how much is in the buffer, which is nothing
  const uint8_t form = command.cdb[1] & 0x1f;
  if (form != shortForm && form != shortFormVendor && form != longForm && form != extendedForm) {
    throw CheckCondition{condition::invalidFieldInCdb};
  }
  requireReady();
  uint8_t flags = 0;
  if (position_ == 0) flags |= 0x80;             // BOP
  if (isInEarlyWarning()) flags |= 0x40;         // EOP
  if (isInProgrammableWarning()) flags |= 0x01;  // BPEW, 0 while there is no such zone
  Bytes &data = reply.data;
  if (form == longForm) {
    append(data, 4, uint32_t(flags) << 24);
    append(data, 4, 0);  // partition
    append(data, 8, position_);
    append(data, 8, cartridge_->filemarksBefore(position_));
    append(data, 8, 0);
  } else if (form == extendedForm) {
    append(data, 2, (flags | countsUnknown) << 8);
    append(data, 2, 0x1c);  // additional length
    append(data, 4, 0);
    append(data, 8, position_);
    append(data, 8, position_);
    append(data, 8, 0);
    if (data.size() > get16(command.at(7))) data.resize(get16(command.at(7)));
  } else {
    append(data, 4, uint32_t(flags | countsUnknown) << 24);
    append(data, 4, position_);
    append(data, 4, position_);
    append(data, 8, 0);
  }
}
