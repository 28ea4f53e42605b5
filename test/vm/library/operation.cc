#include "operation.h"

namespace {

constexpr uint8_t serviceActionMask = 0x1f;

bool matches(const Operation &operation, uint16_t serviceAction) {
  return !operation.hasServiceAction || operation.serviceAction == serviceAction;
}

// Command timeouts descriptor (SPC-4 table 207).
void appendTimeouts(Bytes &to, const Operation &operation) {
  append(to, 2, 0x0a);  // length of what follows
  append(to, 2, 0);
  append(to, 4, operation.nominalS);
  append(to, 4, operation.recommendedS);
}

Bytes reportAll(const Operations &operations, bool withTimeouts) {
  Bytes list;
  for (const Operation &operation : operations) {
    append(list, 2, operation.code << 8);
    append(list, 2, operation.serviceAction);
    append(list, 1, 0);
    append(list, 1, (withTimeouts ? 0x02 : 0) | (operation.hasServiceAction ? 0x01 : 0));  // CTDP, SERVACTV
    append(list, 2, operation.cdbBytes);
    if (withTimeouts) appendTimeouts(list, operation);
  }
  Bytes data;
  append(data, 4, list.size());
  append(data, list);
  return data;
}

Bytes reportOne(const Operation *operation, bool withTimeouts) {
  constexpr uint8_t notSupported = 1, supported = 3;
  if (!operation) return {0, notSupported, 0, 0};
  Bytes data = {0, uint8_t((withTimeouts ? 0x80 : 0) | supported)};
  append(data, 2, operation->cdbBytes);
  Bytes usage = operation->usage;
  usage.insert(usage.begin(), operation->code);
  usage.resize(operation->cdbBytes);
  append(data, usage);
  if (withTimeouts) appendTimeouts(data, *operation);
  return data;
}

}  // namespace

const Operation &findOperation(const Operations &operations, const Command &command) {
  bool isKnown = false;
  for (const Operation &operation : operations) {
    if (operation.code != command.operation()) continue;
    if (matches(operation, command.cdb[1] & serviceActionMask)) return operation;
    isKnown = true;
  }
  throw CheckCondition{isKnown ? condition::invalidFieldInCdb : condition::invalidOperationCode};
}

void limitToAllocation(const Operation &operation, const Command &command, Bytes &data) {
  if (!operation.allocationBytes) return;
  uint64_t bytes = 0;
  for (unsigned index = 0; index < operation.allocationBytes; ++index) {
    bytes = bytes << 8 | command.cdb[operation.allocationAt + index];
  }
  if (data.size() > bytes) data.resize(bytes);
}

Bytes reportOperations(const Operations &operations, const Command &command) {
  const bool withTimeouts = command.cdb[2] & 0x80;  // RCTD
  const unsigned option = command.cdb[2] & 0x07;    // REPORTING OPTIONS
  const uint8_t code = command.cdb[3];
  const uint16_t serviceAction = get16(command.at(4));
  if (option == 0) return reportAll(operations, withTimeouts);
  if (option > 3) throw CheckCondition{condition::invalidFieldInCdb};
  const Operation *found = nullptr;
  for (const Operation &operation : operations) {
    if (operation.code != code) continue;
    // 1 asks for a command without service actions, 2 for one with, 3 for either (SPC-4 table 203).
    if (option == 1 && operation.hasServiceAction) throw CheckCondition{condition::invalidFieldInCdb};
    if (option == 2 && !operation.hasServiceAction) throw CheckCondition{condition::invalidFieldInCdb};
    if (matches(operation, serviceAction)) found = &operation;
  }
  return reportOne(found, withTimeouts);
}
