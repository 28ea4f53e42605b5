#include "logical_unit.h"

#include <algorithm>

LogicalUnit::LogicalUnit(unsigned number, Identity identity, const Operations &operations)
    : number(number), identity(std::move(identity)), operations_(operations) {
  raise(attention::powerOn);
}

Reply LogicalUnit::execute(const Command &command, unsigned unitCount) {
  Reply reply;
  try {
    const Operation &operation = findOperation(operations_, command);
    // INQUIRY, REPORT LUNS and REQUEST SENSE go through a waiting unit attention (SAM-5 5.14).
    const bool passes = command.operation() == 0x12 || command.operation() == 0xa0 || command.operation() == 0x03;
    if (!passes && !attentions_.empty()) {
      const Sense sense(SenseKey::unitAttention, attentions_.front());
      attentions_.pop_front();
      throw CheckCondition{sense};
    }
    if (!carryOutCommon(command, reply, unitCount)) carryOut(command, reply);
    limitToAllocation(operation, command, reply.data);
  } catch (const CheckCondition &failure) {
    reply.data.clear();
    reply.sense = failure.sense;
  }
  return reply;
}

bool LogicalUnit::carryOutCommon(const Command &command, Reply &reply, unsigned unitCount) {
  switch (command.operation()) {
    case 0x03: requestSense(reply); return true;
    case 0x12: inquiry(command, reply); return true;
    case 0x15:
    case 0x55: modeSelect(command); return true;
    case 0x1a:
    case 0x5a: modeSense(command, reply); return true;
    case 0x16:  // RESERVE and RELEASE: there is only one host
    case 0x17:
    case 0x56:
    case 0x57:
    case 0x1d:  // SEND DIAGNOSTIC: the self test passes
    case 0x4c:  // LOG SELECT: counters stay
      return true;
    case 0x1e:  // PREVENT ALLOW MEDIUM REMOVAL
      isRemovalPrevented_ = command.cdb[4] & 0x01;
      return true;
    case 0x4d: logSense(command, reply); return true;
    case 0xa0:  // REPORT LUNS
      append(reply.data, 8, uint64_t(unitCount * 8) << 32);
      for (unsigned unit = 0; unit < unitCount; ++unit) append(reply.data, 8, uint64_t(unit) << 48);
      return true;
    case 0xa3: reply.data = reportOperations(operations_, command); return true;
    default: return false;
  }
}

void LogicalUnit::requestSense(Reply &reply) {
  std::optional<Sense> state = currentState();
  if (!attentions_.empty()) {
    state = Sense(SenseKey::unitAttention, attentions_.front());
    attentions_.pop_front();
  }
  const auto data = state.value_or(Sense(SenseKey::noSense, 0)).encode();
  reply.data.assign(data.begin(), data.end());
}

void LogicalUnit::raise(uint16_t code) {
  if (std::find(attentions_.begin(), attentions_.end(), code) == attentions_.end()) attentions_.push_back(code);
}

bool LogicalUnit::swallowAttention() {
  if (attentions_.empty()) return false;
  attentions_.pop_front();
  return true;
}

void LogicalUnit::reset(uint16_t code) {
  modePages_.resetToDefaults();
  isRemovalPrevented_ = false;
  attentions_ = {code};
}

void LogicalUnit::powerCycle() { reset(attention::powerOn); }

void LogicalUnit::loseNexus() {
  isRemovalPrevented_ = false;  // SPC-4 6.14: it is the host's, and ends with it
  raise(attention::nexusLoss);
}

void LogicalUnit::selectHeader(uint8_t, const uint8_t *blockDescriptor) {
  if (blockDescriptor) throw CheckCondition{condition::invalidFieldInParameterList};
}

void LogicalUnit::modeSense(const Command &command, Reply &reply) {
  const bool isLong = command.operation() == 0x5a;
  const bool withoutDescriptor = command.cdb[1] & 0x08;  // DBD
  ModeHeader header = modeHeader();
  const Bytes pages = modePages_.sense(command.cdb[2] & 0x3f, command.cdb[3], command.cdb[2] >> 6);
  if (withoutDescriptor) header.blockDescriptor.clear();
  const size_t behind = header.blockDescriptor.size() + pages.size();
  Bytes &data = reply.data;
  if (isLong) {
    append(data, 2, 6 + behind);  // MODE DATA LENGTH counts what follows itself
    data.push_back(header.mediumType);
    data.push_back(header.deviceSpecific);
    append(data, 2, 0);
    append(data, 2, header.blockDescriptor.size());
  } else {
    data.push_back(uint8_t(3 + behind));
    data.push_back(header.mediumType);
    data.push_back(header.deviceSpecific);
    data.push_back(uint8_t(header.blockDescriptor.size()));
  }
  append(data, header.blockDescriptor);
  append(data, pages);
}

void LogicalUnit::modeSelect(const Command &command) {
  const bool isLong = command.operation() == 0x55;
  if (command.cdb[1] & 0x01) throw CheckCondition{condition::invalidFieldInCdb};  // SP: nothing can be saved
  const size_t wanted = isLong ? get16(command.at(7)) : command.cdb[4];
  if (wanted == 0) return;
  const Bytes &list = command.dataOut;
  const size_t bytes = std::min(wanted, list.size());
  const size_t headerBytes = isLong ? 8 : 4;
  if (bytes < headerBytes) throw CheckCondition{condition::parameterListLengthError};
  const size_t descriptorBytes = isLong ? get16(&list[6]) : list[3];
  if (descriptorBytes != 0 && descriptorBytes != 8) throw CheckCondition{condition::invalidFieldInParameterList};
  if (bytes < headerBytes + descriptorBytes) throw CheckCondition{condition::parameterListLengthError};
  const ModePages before = modePages_;
  modePages_.select(list.data() + headerBytes + descriptorBytes, bytes - headerBytes - descriptorBytes);
  try {
    selectHeader(isLong ? list[3] : list[2], descriptorBytes ? list.data() + headerBytes : nullptr);
  } catch (const CheckCondition &) {
    modePages_ = before;
    throw;
  }
}
