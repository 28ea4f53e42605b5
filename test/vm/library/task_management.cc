// Task management: how a host's error handling aborts commands and resets units (RFC 7143 11.5, SAM-5 7).
#include <algorithm>

#include "target.h"

namespace {

constexpr uint8_t taskManagementResponse = 0x22;

enum Function : uint8_t {
  abortTask = 1,
  abortTaskSet = 2,
  clearTaskSet = 4,
  logicalUnitReset = 5,
  targetWarmReset = 6,
  targetColdReset = 7,
};

enum Response : uint8_t { complete = 0, noSuchTask = 1, noSuchUnit = 2, notSupported = 5 };

}  // namespace

// True if the task had not been carried out; now it never will.
bool Target::abort(uint32_t tag) {
  if (receiving_.erase(tag)) return true;
  for (auto &[unit, tasks] : queue_) {
    const auto found = std::find_if(tasks.begin(), tasks.end(), [&](const Task &task) { return task.tag() == tag; });
    if (found == tasks.end()) continue;
    tasks.erase(found);
    return true;
  }
  return false;
}

void Target::manage(const Pdu &pdu) {
  Task addressed;
  addressed.header = pdu.header;
  const uint64_t number = addressed.unit();
  LogicalUnit *unit = library_.unit(number);
  const uint8_t function = pdu.header[field::flags] & 0x7f;
  uint8_t response = complete;
  switch (function) {
    case abortTask:
      if (!abort(pdu.get(20))) response = noSuchTask;  // Referenced Task Tag
      break;
    case abortTaskSet:
    case clearTaskSet: dropTasks(number); break;
    case logicalUnitReset:
      dropTasks(number);
      if (unit) unit->reset(attention::deviceReset);
      else response = noSuchUnit;
      break;
    case targetWarmReset:
      dropTasks();
      library_.resetAll(attention::busReset);
      break;
    case targetColdReset:
      dropTasks();
      for (unsigned each = 0; each < library_.unitCount(); ++each) library_.unit(each)->powerCycle();
      break;
    default: response = notSupported;
  }
  Header header{};
  header[0] = taskManagementResponse;
  header[field::flags] = 0x80;
  header[field::response] = response;
  std::copy_n(&pdu.header[field::tag], 4, &header[field::tag]);
  session_->send(header);
  if (function == targetColdReset) session_->close();
}
