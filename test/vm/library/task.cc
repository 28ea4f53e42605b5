// The life of one SCSI command in the target: its data come in, it waits for its turn, is carried out and answered.
#include <algorithm>

#include "target.h"

namespace {

constexpr uint8_t scsiResponse = 0x21, dataIn = 0x25, readyToTransfer = 0x31;
constexpr uint8_t finalBit = 0x80, readsBit = 0x40, writesBit = 0x20;
constexpr size_t receivingMax = 64;  // as many as the command window that Connection grants
constexpr uint8_t good = 0x00, checkCondition = 0x02;  // SAM-5 status

}  // namespace

// LUNs here are of one level, peripheral addressing: all but the second byte is 0 (SAM-5 4.6.3).
uint64_t Target::Task::unit() const {
  const uint64_t lun = get64(&header[field::unit]);
  const uint64_t number = lun >> 48 & 0xff;
  return lun == number << 48 ? number : UINT64_MAX;
}

void Target::startCommand(const Pdu &pdu) {
  Task task;
  task.header = pdu.header;
  std::copy_n(&pdu.header[32], task.command.cdb.size(), task.command.cdb.begin());
  const bool writes = pdu.header[field::flags] & writesBit;
  const uint32_t bytes = writes ? task.expectedBytes() : 0;
  if (pdu.data.size() > bytes || receiving_.count(task.tag()) || receiving_.size() >= receivingMax) {
    session_->close();  // no initiator that is in its senses does that
    return;
  }
  if (bytes > transferBytesMax) {  // is told so before any of its data come
    Reply reply;
    reply.sense = condition::invalidFieldInCdb;
    sendResponse(task, reply, 0, 0);
    return;
  }
  task.command.dataOut = pdu.data;
  task.received = pdu.data.size();
  task.command.dataOut.resize(bytes);
  if (task.received < bytes) {
    Task &waiting = receiving_.emplace(task.tag(), std::move(task)).first->second;
    askForData(waiting);
  } else {
    const uint64_t unit = task.unit();
    queue_[unit].push_back(std::move(task));
  }
}

void Target::askForData(Task &task) {
  const size_t bytes = std::min<size_t>(task.command.dataOut.size() - task.received, session_->burstBytes);
  Header header{};
  header[0] = readyToTransfer;
  header[field::flags] = finalBit;
  std::copy_n(&task.header[field::unit], 12, &header[field::unit]);  // LUN and tag
  put(&header[field::targetTag], 4, 1);
  put(&header[field::sequence], 4, task.transfers++);  // R2TSN
  put(&header[field::offset], 4, task.received);
  put(&header[field::length], 4, bytes);
  session_->send(header, nullptr, 0, false);
}

void Target::takeData(const Pdu &pdu) {
  const auto found = receiving_.find(pdu.get(field::tag));
  if (found == receiving_.end()) return;  // of a task that was aborted meanwhile
  Task &task = found->second;
  Bytes &dataOut = task.command.dataOut;
  if (pdu.get(field::offset) != task.received || pdu.data.size() > dataOut.size() - task.received) {
    session_->close();
    return;
  }
  std::copy(pdu.data.begin(), pdu.data.end(), dataOut.begin() + task.received);
  task.received += pdu.data.size();
  if (task.received == dataOut.size()) {
    const uint64_t unit = task.unit();
    queue_[unit].push_back(std::move(task));
    receiving_.erase(found);
  } else if (pdu.isFinal()) {
    askForData(task);
  }
}

int Target::waitMs() const {
  using std::chrono::milliseconds;
  int wait = -1;
  for (const auto &[unit, tasks] : queue_) {
    if (tasks.empty() || !tasks.front().due) continue;
    const auto left = std::chrono::ceil<milliseconds>(*tasks.front().due - std::chrono::steady_clock::now()).count();
    const int ms = int(std::max<int64_t>(left, 0));
    if (wait < 0 || ms < wait) wait = ms;
  }
  return wait;
}

void Target::carryOutDue() {
  for (auto &[unit, tasks] : queue_) {
    while (!tasks.empty()) {
      Task &next = tasks.front();
      const Time now = std::chrono::steady_clock::now();
      if (!next.due) next.due = now + std::chrono::milliseconds(library_.delayMs(unit, next.command));
      if (*next.due > now) break;
      Task task = std::move(next);
      tasks.pop_front();
      carryOut(task);
    }
  }
}

void Target::carryOut(Task &task) {
  if (!session_) return;
  const Reply reply = library_.execute(task.unit(), task.command);
  const bool reads = task.header[field::flags] & readsBit;
  const size_t bytes = reads ? std::min<size_t>(reply.data.size(), task.expectedBytes()) : 0;
  uint32_t dataPdus = 0;
  sendData(task, reply.data, bytes, dataPdus);
  sendResponse(task, reply, bytes, dataPdus);
}

void Target::sendData(const Task &task, const Bytes &data, size_t bytes, uint32_t &dataPdus) {
  const size_t burst = session_->burstBytes;
  for (size_t at = 0; at < bytes;) {
    const size_t burstLeft = burst - at % burst;
    const size_t part = std::min({bytes - at, size_t(session_->sendSegmentBytes), burstLeft});
    Header header{};
    header[0] = dataIn;
    if (at + part == bytes || part == burstLeft) header[field::flags] = finalBit;
    std::copy_n(&task.header[field::tag], 4, &header[field::tag]);
    put(&header[field::targetTag], 4, noTag);
    put(&header[field::sequence], 4, dataPdus++);  // DataSN
    put(&header[field::offset], 4, at);
    session_->send(header, data.data() + at, part, false);
    at += part;
  }
}

void Target::sendResponse(const Task &task, const Reply &reply, size_t bytes, uint32_t dataPdus) {
  constexpr uint8_t underflow = 0x02, overflow = 0x04;
  const bool reads = task.header[field::flags] & readsBit;
  Header header{};
  header[0] = scsiResponse;
  header[field::flags] = finalBit;
  header[field::status] = reply.sense ? checkCondition : good;
  std::copy_n(&task.header[field::tag], 4, &header[field::tag]);
  put(&header[field::sequence], 4, dataPdus);  // ExpDataSN
  if (reads && bytes < task.expectedBytes()) {
    header[field::flags] |= underflow;
    put(&header[field::length], 4, task.expectedBytes() - bytes);
  } else if (reads && bytes < reply.data.size()) {
    header[field::flags] |= overflow;
    put(&header[field::length], 4, reply.data.size() - bytes);
  }
  if (!reply.sense) {
    session_->send(header);
    return;
  }
  const auto sense = reply.sense->encode();
  Bytes segment;
  append(segment, 2, sense.size());
  segment.insert(segment.end(), sense.begin(), sense.end());
  session_->send(header, segment.data(), segment.size());
}

void Target::dropTasks() {
  receiving_.clear();
  queue_.clear();
}

void Target::dropTasks(uint64_t unit) {
  queue_.erase(unit);
  for (auto task = receiving_.begin(); task != receiving_.end();) {
    task = task->second.unit() == unit ? receiving_.erase(task) : std::next(task);
  }
}
