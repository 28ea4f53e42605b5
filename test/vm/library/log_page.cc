// LOG SENSE: the pages that every unit has (SPC-4 6.8 and 7.3; TapeAlert as in SSC-4 and SMC-3).
#include <algorithm>

#include "logical_unit.h"

void appendLogParameter(Bytes &page, uint16_t code, uint8_t control, unsigned bytes, uint64_t value) {
  append(page, 2, code);
  append(page, 1, control);
  append(page, 1, bytes);
  append(page, bytes, value);
}

void LogicalUnit::logSense(const Command &command, Reply &reply) {
  constexpr uint8_t supportedPages = 0x00, tapeAlert = 0x2e;
  const uint8_t page = command.cdb[2] & 0x3f;
  if (command.cdb[3]) throw CheckCondition{condition::invalidFieldInCdb};  // no subpages
  Bytes body;
  if (page == supportedPages) {
    body = logPages();
    body.push_back(supportedPages);
    body.push_back(tapeAlert);
    std::sort(body.begin(), body.end());
  } else if (page == tapeAlert) {
    for (uint16_t flag = 1; flag <= 64; ++flag) {
      appendLogParameter(body, flag, 0x40, 1, tapeAlerts >> (flag - 1) & 1);
    }
    // Reading clears the flags. Some tools read the header alone first, to learn the length; that is no reading.
    if (get16(command.at(7)) > 4) tapeAlerts = 0;
  } else if (!logPage(page, body)) {
    throw CheckCondition{condition::invalidFieldInCdb};
  }
  reply.data = {page, 0};
  append(reply.data, 2, body.size());
  append(reply.data, body);
}
