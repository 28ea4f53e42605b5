#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <poll.h>
#include <scsi/sg.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace {

class Hold {
 public:
  explicit Hold(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Hold() { pthread_mutex_unlock(&mutex_); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

/** Read-holds JavaScript's memory; false when it is gone. */
class Visit {
 public:
  explicit Visit(Office& office) : office_(office) { pthread_rwlock_rdlock(&office_.memory); }
  ~Visit() { pthread_rwlock_unlock(&office_.memory); }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  explicit operator bool() const { return !office_.gone; }

 private:
  Office& office_;
};

void pause_ms(long ms) {
  const timespec time = {0, ms * 1000000};
  nanosleep(&time, nullptr);
}

}  // namespace

Office::Office() : gone_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { pthread_rwlock_init(&memory, nullptr); }

Office::~Office() {
  if (gone_fd_ >= 0) ::close(gone_fd_);
  pthread_rwlock_destroy(&memory);
}

bool Office::post(const Answer& answer) {
  Visit visit(*this);
  if (!visit) return false;
  deliver(answer);
  return true;
}

void Office::leave() {
  pthread_rwlock_wrlock(&memory);
  if (!gone) {
    gone = true;
    left();
    const uint64_t one = 1;
    // An eventfd always takes its first write. Were there none, threads would notice once their device answers.
    [[maybe_unused]] const ssize_t written = ::write(gone_fd_, &one, sizeof one);
  }
  pthread_rwlock_unlock(&memory);
}

Device::Device(std::shared_ptr<Office> office, OpenOptions options, Ticket opened)
    : office_(std::move(office)), options_(std::move(options)), opened_(opened) {
  pthread_mutex_init(&mutex_, nullptr);
  pthread_cond_init(&wake_, nullptr);
}

Device::~Device() {
  if (fd_ >= 0) ::close(fd_);
  pthread_cond_destroy(&wake_);
  pthread_mutex_destroy(&mutex_);
}

std::shared_ptr<Device> Device::start(std::shared_ptr<Office> office, OpenOptions options, Ticket opened) {
  auto device = std::make_shared<Device>(std::move(office), std::move(options), opened);
  auto* owned = new std::shared_ptr<Device>(device);

  // A thread starts with its maker's signal mask: block all for it, so that signals go to JavaScript's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, &Device::enter, owned);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);

  if (error == 0) return device;
  delete owned;
  return nullptr;
}

void* Device::enter(void* self) {
  auto* owned = static_cast<std::shared_ptr<Device>*>(self);
  pthread_setname_np(pthread_self(), "shelfs-scsi");
  (*owned)->run();
  delete owned;
  return nullptr;
}

bool Device::enqueue(const Command& command) {
  Hold hold(mutex_);
  if (closing_) return false;
  queue_.push_back(command);
  pthread_cond_signal(&wake_);
  return true;
}

Ticket Device::drop(uint64_t number) {
  Hold hold(mutex_);
  for (auto command = queue_.begin(); command != queue_.end(); ++command) {
    if (command->number != number) continue;
    const Ticket ticket = command->ticket;
    queue_.erase(command);
    return ticket;
  }
  return 0;
}

std::vector<Ticket> Device::close(Ticket closed) {
  Hold hold(mutex_);
  std::vector<Ticket> unsent;
  for (const Command& command : queue_) unsent.push_back(command.ticket);
  queue_.clear();
  closing_ = true;
  if (closed != 0) closed_ = closed;
  pthread_cond_signal(&wake_);
  return unsent;
}

void Device::run() {
  const Answer opened = open();
  if (!office_->post(opened) || opened.error != 0) return;

  for (;;) {
    Command command;
    {
      Hold hold(mutex_);
      while (queue_.empty() && !closing_) pthread_cond_wait(&wake_, &mutex_);
      if (queue_.empty()) break;
      command = queue_.front();
      queue_.pop_front();
    }
    Answer answer = {};
    answer.ticket = command.ticket;
    if (!execute(command, answer) || !office_->post(answer)) return;
  }

  // Closed before it is said: who hears of it may open the device again.
  ::close(fd_);
  fd_ = -1;
  Answer closed = {};
  {
    Hold hold(mutex_);
    closed.ticket = closed_;
  }
  if (closed.ticket != 0) office_->post(closed);
}

Answer Device::open() {
  Answer answer = {};
  answer.ticket = opened_;
  int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  flags |= options_.read_only ? O_RDONLY : O_RDWR;
  if (options_.exclusive) flags |= O_EXCL;
  if (options_.create) flags |= O_CREAT;
  fd_ = ::open(options_.path.c_str(), flags, 0666);
  if (fd_ < 0) {
    answer.error = errno;
    answer.step = "open";
    return answer;
  }
  if (options_.lock && flock(fd_, LOCK_EX | LOCK_NB) < 0) {
    answer.error = errno;
    answer.step = "lock";
    ::close(fd_);
    fd_ = -1;
    return answer;
  }
  struct stat found;
  generic_ = fstat(fd_, &found) == 0 && S_ISCHR(found.st_mode) && major(found.st_rdev) == SCSI_GENERIC_MAJOR;
  if (generic_ && options_.reserved_bytes > 0) {
    // The driver gives what it can; less only means that it allocates for each command.
    int bytes = options_.reserved_bytes;
    ioctl(fd_, SG_SET_RESERVED_SIZE, &bytes);
  }
  return answer;
}

/**
 * One command through sg's write and read, not through its SG_IO: when a process is stopped (Ctrl-Z, a debugger, the
 * machine's suspend) in SG_IO, the kernel restarts the call and the drive gets the command twice; a block written twice
 * was measured. Here what waits is a poll, which may be restarted.
 */
bool Device::execute(const Command& command, Answer& answer) {
  if (!generic_) {
    answer.error = ENOTTY;
    return true;
  }
  sg_io_hdr_t header = {};
  header.interface_id = 'S';
  header.dxfer_direction = command.direction;
  header.cmdp = const_cast<uint8_t*>(command.cdb);
  header.cmd_len = command.cdb_length;
  header.dxferp = command.buffer;
  header.dxfer_len = command.buffer_bytes;
  header.sbp = answer.sense;
  header.mx_sb_len = sizeof answer.sense;
  header.timeout = command.timeout_ms;
  {
    Visit visit(*office_);
    if (!visit) return false;
    if (::write(fd_, &header, sizeof header) < 0) {
      answer.error = errno;
      return true;
    }
  }
  for (;;) {
    pollfd waits[2] = {{fd_, POLLIN, 0}, {office_->gone_fd(), POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) {
      answer.error = errno;
      return true;
    }
    {
      Visit visit(*office_);
      if (!visit) return false;
      if (::read(fd_, &header, sizeof header) >= 0) break;
      if (errno != EAGAIN && errno != EINTR) {
        answer.error = errno;
        return true;
      }
    }
    // A device being removed polls as hung up although its last reply is still to come.
    if ((waits[0].revents & (POLLHUP | POLLERR)) != 0) pause_ms(10);
  }
  answer.status = header.status;
  answer.host_status = header.host_status;
  answer.driver_status = header.driver_status;
  answer.sense_length = header.sb_len_wr;
  answer.residual_bytes = header.resid > 0 ? static_cast<uint32_t>(header.resid) : 0;
  return true;
}
