#include "fault.h"

#include <cstdio>

void Faults::pass(char kind) {
  for (auto fault = planned_.begin(); fault != planned_.end(); ++fault) {
    if (fault->kind != kind || --fault->commandsLeft > 0) continue;
    const Sense sense = fault->sense;
    planned_.erase(fault);
    throw CheckCondition{sense};
  }
}

std::string Faults::describe(unsigned unit) const {
  std::string text;
  for (const Fault &fault : planned_) {
    char line[64];
    snprintf(line, sizeof line, "%u %c %u %x %02x %02x%s\n", unit, fault.kind, fault.commandsLeft,
             unsigned(fault.sense.key), fault.sense.code >> 8u, fault.sense.code & 0xffu,
             fault.sense.deferred ? " deferred" : "");
    text += line;
  }
  return text;
}
