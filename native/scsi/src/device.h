/**
 * A device and the thread that talks to it. Nothing here knows JavaScript.
 *
 * Each device has one thread: it opens, locks, sends commands in call order and closes, so that a rewind of minutes holds
 * up nothing else. The thread is detached and owns what it touches, for it may outlive the JavaScript that asked.
 *
 * Lock order: Office::memory is never taken while Device::mutex_ is held.
 */
#pragma once

#include <pthread.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

/** Names a question JavaScript waits for an answer to; never 0. */
using Ticket = uint64_t;

/** One command. The buffer belongs to JavaScript, which keeps it alive until the answer is there. */
struct Command {
  Ticket ticket;
  uint64_t number;  // JavaScript's own name for it
  uint8_t cdb[16];
  uint8_t cdb_length;
  int direction;  // SG_DXFER_*
  void* buffer;
  uint32_t buffer_bytes;
  uint32_t timeout_ms;
};

/** The answer to a ticket: an errno, or with errno 0 what the device said. */
struct Answer {
  Ticket ticket;
  int error;
  const char* step;  // where an open failed
  uint8_t status;
  uint16_t host_status;
  uint16_t driver_status;
  uint32_t residual_bytes;
  uint8_t sense_length;
  uint8_t sense[252];  // the most that sg_io_hdr can ask for and its length still name
};

struct OpenOptions {
  std::string path;
  bool read_only;
  bool exclusive;
  bool lock;
  bool create;
  int reserved_bytes;  // of the sg driver's transfer buffer, 0 to leave it
};

/**
 * Where answers go; one for each JavaScript environment, shared by the threads of its devices.
 *
 * `memory` is read-held by a thread while the kernel copies from or into a buffer of JavaScript, or while it answers.
 * Who ends the environment write-holds it to set `gone`: after that no thread touches what JavaScript owned.
 */
class Office {
 public:
  Office();
  Office(const Office&) = delete;
  Office& operator=(const Office&) = delete;
  virtual ~Office();

  /** Becomes readable when `gone` is set: wakes the threads that wait for a device. */
  int gone_fd() const { return gone_fd_; }
  /** Hands the answer over; false when nobody is there any more. */
  bool post(const Answer& answer);
  /** Sets `gone`. Returns once no thread is in JavaScript's memory. */
  void leave();

  pthread_rwlock_t memory;
  bool gone = false;

 protected:
  /** Called with `memory` read-held and `gone` false, by any thread. */
  virtual void deliver(const Answer& answer) = 0;
  /** Called with `memory` write-held, once. */
  virtual void left() = 0;

 private:
  int gone_fd_;
};

class Device {
 public:
  /** Starts the thread, which opens and answers `opened`. Null when there can be no thread (EAGAIN). */
  static std::shared_ptr<Device> start(std::shared_ptr<Office> office, OpenOptions options, Ticket opened);

  Device(std::shared_ptr<Office> office, OpenOptions options, Ticket opened);
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  /** False once the device is closing. */
  bool enqueue(const Command& command);
  /** Takes a command back and returns its ticket; 0 when it was sent or is not known. */
  Ticket drop(uint64_t number);
  /** Ends the thread after the command under way and answers `closed`, unless that is 0. Returns what was not sent. */
  std::vector<Ticket> close(Ticket closed);

 private:
  static void* enter(void* self);
  void run();
  Answer open();
  /** False when JavaScript has gone away meanwhile. */
  bool execute(const Command& command, Answer& answer);

  const std::shared_ptr<Office> office_;
  const OpenOptions options_;
  const Ticket opened_;
  int fd_ = -1;           // the thread's own
  bool generic_ = false;  // a node of the sg driver; the thread's own

  pthread_mutex_t mutex_;  // guards what follows
  pthread_cond_t wake_;
  std::deque<Command> queue_;
  bool closing_ = false;
  Ticket closed_ = 0;
};
