// The commands a logical unit knows, as REPORT SUPPORTED OPERATION CODES tells them (SPC-4 6.27).
#pragma once

#include <vector>

#include "command.h"

struct Operation {
  uint8_t code;
  bool hasServiceAction;
  uint16_t serviceAction;
  uint8_t cdbBytes;
  // Where the CDB says how many bytes the host will take, and in how many bytes; 0: it does not.
  uint8_t allocationAt;
  uint8_t allocationBytes;
  // How long it takes when all is well, and how long to wait before the device is given up. 0 in the first: not told.
  uint32_t nominalS;
  uint32_t recommendedS;
  // Bit map of the CDB fields that are evaluated, behind the operation code.
  std::vector<uint8_t> usage;
};

using Operations = std::vector<Operation>;

const Operations &driveOperations();
const Operations &changerOperations();

// Finds the entry a command falls under. Throws INVALID COMMAND OPERATION CODE, or INVALID FIELD IN CDB where only its
// service action is unknown.
const Operation &findOperation(const Operations &operations, const Command &command);

// Cuts the data to what the host has room for.
void limitToAllocation(const Operation &operation, const Command &command, Bytes &data);

Bytes reportOperations(const Operations &operations, const Command &command);
