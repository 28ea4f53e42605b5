#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace {

/** Measured best: one is slower with several callers, three are no faster. */
constexpr int kReaders = 2;
constexpr int kFileReaders = 4;
/** The longest requests that may be worth an answer are forgets of thousands of nodes. The kernel asks for 8 KiB at least. */
constexpr size_t kRequestBytesMax = 64 << 10;
/** More than 20,000 requests: so many processes wait while JavaScript is busy. */
constexpr size_t kQueueBytesMax = 8 << 20;
constexpr size_t kTakeBytesMax = 64 << 10;
constexpr size_t kNotificationsMax = 8192;
/** Beyond what any agreement allows. */
constexpr uint32_t kReadBytesMax = 64 << 20;

/** What must not be refused for want of room: JavaScript would wait for it for ever. */
bool is_due(uint32_t opcode) {
  switch (static_cast<Opcode>(opcode)) {
    case Opcode::kRead:
    case Opcode::kRelease:
    case Opcode::kReleasedir:
    case Opcode::kForget:
      return true;
    default:
      return false;
  }
}

/** The connection is gone: whoever reads the device hears of it. */
bool is_gone(int error) {
  return error == ENODEV || error == ECONNABORTED || error == EPERM || error == EPIPE || error == ECONNRESET ||
         error == ENOTCONN;
}

/** As much as there is up to `length`, or -1 and errno. */
ssize_t read_whole(int file, char* bytes, size_t length, uint64_t offset) {
  size_t filled = 0;
  while (filled < length) {
    const ssize_t count = pread(file, bytes + filled, length - filled, static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(filled);
}

}  // namespace

Session::Session(std::shared_ptr<Office> office, int device, const InitOut& offer)
    : office_(std::move(office)), device_(device), offer_(offer), leave_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Session::~Session() {
  if (leave_fd_ >= 0) ::close(leave_fd_);
}

std::shared_ptr<Session> Session::start(std::shared_ptr<Office> office, int device, const InitOut& offer) {
  auto session = std::make_shared<Session>(std::move(office), device, offer);
  Session* self = session.get();
  int started = 0;
  // A thread that waits in a read could not be told to end.
  const int flags = fcntl(device, F_GETFL);
  bool is_whole = self->leave_fd_ >= 0 && flags >= 0 && fcntl(device, F_SETFL, flags | O_NONBLOCK) == 0;
  {
    // Until all are there none gets further than its first lock.
    const std::lock_guard<std::mutex> lock(self->mutex_);
    const auto add = [&](const char* name, void (Session::*run)()) {
      if (is_whole) is_whole = self->threads_.start(name, [self, run] { (self->*run)(); });
      if (is_whole) ++started;
    };
    add("shelfs-notify", &Session::send_notifications);
    for (int count = 0; count < kFileReaders; ++count) add("shelfs-file", &Session::read_files);
    self->helpers_ = started;
    for (int count = 0; count < kReaders; ++count) add("shelfs-fuse", &Session::read_device);
    self->alive_ = started;
  }
  if (is_whole) return session;
  self->stop();
  self->threads_.join();
  return nullptr;
}

int Session::write(const iovec* pieces, int count) {
  for (;;) {
    if (writev(device_, pieces, count) >= 0) return 0;
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return errno;
    // The kernel's device always takes a reply; a socket in its place may be full.
    pollfd wait = {device_, POLLOUT, 0};
    poll(&wait, 1, -1);
  }
}

int Session::send(uint64_t unique, int error, const void* body, size_t length) {
  OutHeader header = {static_cast<uint32_t>(sizeof header + length), -error, unique};
  const iovec pieces[2] = {{&header, sizeof header}, {const_cast<void*>(body), length}};
  return write(pieces, length > 0 ? 2 : 1);
}

void Session::read_device() {
  std::vector<char> request(kRequestBytesMax);
  std::vector<char> buffer;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
  }
  while (!is_leaving_) {
    const ssize_t length = ::read(device_, request.data(), request.size());
    if (length > 0) {
      handle(request.data(), static_cast<size_t>(length), buffer);
      continue;
    }
    const int error = length == 0 ? ENODEV : errno;
    // ENOENT: the request's caller was killed while it was read. Too long for any use (E2BIG) is answered by the kernel.
    if (error == EINTR || error == ENOENT || error == E2BIG) continue;
    if (error == EAGAIN && wait_for_request()) continue;
    if (error != EAGAIN) finish(is_gone(error) ? 0 : error);
    break;
  }
  leave(true);
}

bool Session::wait_for_request() {
  pollfd waits[2] = {{device_, POLLIN, 0}, {leave_fd_, POLLIN, 0}};
  // Whatever poll says, the next read of the device knows better.
  poll(waits, 2, -1);
  return waits[1].revents == 0;
}

void Session::finish(int error) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!is_finished_) error_ = error;
    is_finished_ = true;
  }
  stop();
}

void Session::leave(bool is_reader) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!is_reader && --helpers_ == 0) {
    // Until now readers went on, so that no helper waits for a request that nobody answers.
    is_leaving_ = true;
    const uint64_t one = 1;
    // An eventfd always takes its first write.
    [[maybe_unused]] const ssize_t written = ::write(leave_fd_, &one, sizeof one);
  }
  if (--alive_ == 0) office_->ring();
}

void Session::handle(const char* request, size_t length, std::vector<char>& buffer) {
  const Judgement judgement = judge(request, length);
  bool is_agreed;
  bool is_refusing;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_agreed = is_agreed_;
    is_refusing = is_refusing_;
  }
  switch (judgement.what) {
    case What::kDrop:
      return;
    case What::kForget:
      return forget(request, length);
    case What::kInterrupt:
      return interrupt(request, length);
    case What::kRefuse:
      send(copied<InHeader>(request).unique, judgement.error);
      return;
    case What::kInit:
      if (!is_agreed && !is_refusing) return init(request, length);
      break;
    case What::kRead:
      if (is_agreed && !is_refusing) return read(request, length, buffer);
      break;
    case What::kPass:
      if (is_agreed && !is_refusing) return pass(request, length);
      break;
  }
  send(copied<InHeader>(request).unique, EIO);
}

void Session::init(const char* request, size_t length) {
  InitIn in = {};
  __builtin_memcpy(&in, request + sizeof(InHeader), std::min(sizeof in, length - sizeof(InHeader)));
  const uint64_t unique = copied<InHeader>(request).unique;
  InitOut out = offer_;
  out.major = kMajor;
  if (in.major > kMajor) {
    // It asks again in our words.
    send(unique, 0, &out, sizeof out);
    return;
  }
  if (in.major < kMajor || in.minor < kMinorMin) {
    send(unique, EPROTO);
    return finish(EPROTO);
  }
  out.minor = std::min(offer_.minor, in.minor);
  out.max_readahead = std::min(offer_.max_readahead, in.max_readahead);
  out.flags &= in.flags;
  out.flags2 &= (out.flags & kInitExtension) != 0 ? in.flags2 : 0;
  if (const int error = send(unique, 0, &out, sizeof out); error != 0) return finish(is_gone(error) ? 0 : error);

  bool may_back = false;
  if ((out.flags2 & kPassthrough2) != 0) {
    // Whether it is permitted is known once it was done.
    const int file = memfd_create("shelfs", MFD_CLOEXEC);
    const int id = file < 0 ? -1 : open_backing(file);
    if (file >= 0) ::close(file);
    may_back = id > 0;
    if (may_back) close_backing(static_cast<uint32_t>(id));
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  is_agreed_ = true;
  agreement_ = Agreement{std::string(request, length), std::string(reinterpret_cast<const char*>(&out), sizeof out), may_back};
  office_->ring();
}

void Session::enqueue(const char* request, size_t length, bool is_urgent) {
  queue_.add(request, length, is_urgent);
  if (!is_rung_) office_->ring();
  is_rung_ = true;
}

void Session::pass(const char* request, size_t length) {
  const auto header = copied<InHeader>(request);
  int error = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_refusing_) {
      error = EIO;
    } else if (queue_.size_bytes() + length > kQueueBytesMax && !is_due(header.opcode)) {
      error = ENOMEM;
    } else {
      places_[header.unique] = Place::kQueue;
      enqueue(request, length, false);
    }
  }
  if (error != 0) send(header.unique, error);
}

/** Bytes that lie in memory are sent at once; for others the disk is waited for on another thread. */
void Session::read(const char* request, size_t length, std::vector<char>& buffer) {
  const uint64_t unique = copied<InHeader>(request).unique;
  const auto in = copied<ReadIn>(request + sizeof(InHeader));
  std::shared_ptr<Served> served;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = served_.find(in.handle);
    if (found != served_.end()) served = found->second;
  }
  if (!served) return pass(request, length);
  if (in.size > kReadBytesMax || in.offset > INT64_MAX - kReadBytesMax) {
    send(unique, EINVAL);
    return;
  }
  const uint64_t left = in.offset < served->size ? served->size - in.offset : 0;
  const size_t wanted = std::min<uint64_t>(in.size, left);
  if (buffer.size() < wanted) buffer.resize(wanted);
  const iovec piece = {buffer.data(), wanted};
  const ssize_t count = wanted == 0 ? 0 : preadv2(served->file, &piece, 1, static_cast<off_t>(in.offset), RWF_NOWAIT);
  if (count == static_cast<ssize_t>(wanted)) {
    send(unique, 0, buffer.data(), wanted);
    return;
  }
  begin_job({unique, std::move(served), in.offset, in.size}, Place::kQueue);
}

/** @param from where it is: kJavaScript for one that was handed over, kQueue for one that was just read */
bool Session::begin_job(Job job, Place from) {
  const uint64_t unique = job.unique;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = places_.find(unique);
    if (from == Place::kJavaScript && (found == places_.end() || found->second != from)) return false;
    if (!is_refusing_) {
      places_[unique] = Place::kLine;
      line_.push_back(std::move(job));
      work_.notify_one();
      return true;
    }
    places_.erase(unique);
  }
  send(unique, EIO);
  return false;
}

void Session::read_files() {
  std::vector<char> buffer;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return is_stopping_ || !line_.empty(); });
    if (line_.empty()) break;
    Job job = std::move(line_.front());
    line_.pop_front();
    places_[job.unique] = Place::kReading;
    lock.unlock();

    if (buffer.size() < job.length) buffer.resize(job.length);
    const ssize_t count = read_whole(job.served->file, buffer.data(), job.length, job.offset);
    job.served.reset();
    lock.lock();
    places_.erase(job.unique);
    lock.unlock();
    if (count < 0) {
      send(job.unique, EIO);
    } else {
      send(job.unique, 0, buffer.data(), static_cast<size_t>(count));
    }
    lock.lock();
  }
  lock.unlock();
  leave(false);
}

/** Permanent nodes are not counted; the lookups of the others are JavaScript's to count. */
void Session::forget(const char* request, size_t length) {
  const auto header = copied<InHeader>(request);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (is_refusing_ || !is_agreed_) return;
  if (static_cast<Opcode>(header.opcode) == Opcode::kForget) {
    if (is_counted(header.node)) enqueue(request, length, false);
    return;
  }
  const char* bytes = request + sizeof header + sizeof(BatchForgetIn);
  const uint32_t count = copied<BatchForgetIn>(request + sizeof header).count;
  for (uint32_t index = 0; index < count; ++index, bytes += sizeof(ForgetOne)) {
    const auto one = copied<ForgetOne>(bytes);
    if (!is_counted(one.node)) continue;
    struct {
      InHeader header;
      ForgetIn body;
    } single = {header, {one.lookups}};
    single.header.length = sizeof single;
    single.header.opcode = static_cast<uint32_t>(Opcode::kForget);
    single.header.node = one.node;
    enqueue(reinterpret_cast<const char*>(&single), sizeof single, false);
  }
}

/**
 * What has not begun is broken off here, so that a killed process ends also while JavaScript is busy. A read under way ends by
 * itself. A request nobody knows was answered, or another thread holds it in its hands and has not looked at it: the kernel
 * knows which, and tells us again.
 */
void Session::interrupt(const char* request, size_t length) {
  const uint64_t target = copied<InterruptIn>(request + sizeof(InHeader)).unique;
  bool is_known;
  bool is_broken_off = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = places_.find(target);
    is_known = found != places_.end();
    if (is_known && found->second == Place::kJavaScript) enqueue(request, length, true);
    if (is_known && found->second == Place::kQueue) is_broken_off = queue_.remove(target);
    if (is_known && found->second == Place::kLine) {
      const auto job = std::find_if(line_.begin(), line_.end(), [&](const Job& one) { return one.unique == target; });
      is_broken_off = job != line_.end();
      if (is_broken_off) line_.erase(job);
    }
    if (is_broken_off) places_.erase(found);
  }
  if (is_broken_off) send(target, EINTR);
  if (!is_known) send(copied<InHeader>(request).unique, EAGAIN);
}

void Session::send_notifications() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    news_.wait(lock, [this] { return is_stopping_ || !notifications_.empty(); });
    if (is_stopping_) break;
    std::string notification = std::move(notifications_.front());
    notifications_.pop_front();
    lock.unlock();
    const iovec piece = {notification.data(), notification.size()};
    // What the kernel does not know (ENOENT) is forgotten already; anything else times out.
    write(&piece, 1);
    lock.lock();
  }
  lock.unlock();
  leave(false);
}

void Session::notify(std::string notification) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (is_refusing_ || notifications_.size() >= kNotificationsMax) return;
  notifications_.push_back(std::move(notification));
  news_.notify_one();
}

int Session::reply(const char* reply, size_t length) {
  const uint64_t unique = copied<OutHeader>(reply).unique;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    places_.erase(unique);
  }
  if (is_closed_) return 0;
  const iovec piece = {const_cast<char*>(reply), length};
  const int error = write(&piece, 1);
  return error == ENOENT || is_gone(error) ? 0 : error;
}

int Session::reply_from_file(uint64_t unique, int file, uint64_t offset, uint32_t length) {
  const int copy = fcntl(file, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return errno;
  auto served = std::shared_ptr<Served>(new Served(office_, copy, 0), [](Served* one) {
    ::close(one->file);
    delete one;
  });
  begin_job({unique, std::move(served), offset, std::min(length, kReadBytesMax)}, Place::kJavaScript);
  return 0;
}

int Session::serve(uint64_t handle, int file) {
  struct stat found;
  if (fstat(file, &found) < 0) return errno;
  const std::lock_guard<std::mutex> lock(mutex_);
  auto served = std::make_shared<Served>(office_, file, static_cast<uint64_t>(found.st_size));
  return served_.emplace(handle, std::move(served)).second ? 0 : EEXIST;
}

void Session::stop_serving(uint64_t handle, Ticket let_go) {
  std::shared_ptr<Served> served;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = served_.find(handle);
    if (found == served_.end()) return office_->post(let_go, ENOENT);
    served = std::move(found->second);
    served_.erase(found);
    served->let_go = let_go;
  }
}

int Session::open_backing(int file) {
  if (is_closed_) return -ENODEV;
  BackingMap map = {file, 0, 0};
  const int id = ioctl(device_, kBackingOpen, &map);
  return id < 0 ? -errno : id;
}

int Session::close_backing(uint32_t id) {
  if (is_closed_) return 0;
  return ioctl(device_, kBackingClose, &id) < 0 ? -errno : 0;
}

std::string Session::take() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string requests = queue_.take(kTakeBytesMax);
  if (requests.empty()) is_rung_ = false;
  for (size_t at = 0; at < requests.size();) {
    const auto header = copied<InHeader>(requests.data() + at);
    const auto found = places_.find(header.unique);
    if (found != places_.end()) found->second = Place::kJavaScript;
    at += header.length;
  }
  return requests;
}

void Session::fail(const std::string& requests) {
  for (size_t at = 0; at < requests.size();) {
    const auto header = copied<InHeader>(requests.data() + at);
    at += header.length;
    bool is_left;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = places_.find(header.unique);
      is_left = found != places_.end() && found->second == Place::kJavaScript;
      if (is_left) places_.erase(found);
    }
    if (is_left) send(header.unique, EIO);
  }
}

std::optional<Agreement> Session::take_agreement() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(agreement_, std::nullopt);
}

std::optional<int> Session::ended() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (alive_ > 0) return std::nullopt;
  return error_;
}

void Session::refuse() {
  std::vector<uint64_t> left;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_refusing_ = true;
    for (auto place = places_.begin(); place != places_.end();) {
      // Those are answered by the thread that reads.
      if (place->second == Place::kReading) {
        ++place;
        continue;
      }
      left.push_back(place->first);
      place = places_.erase(place);
    }
    queue_.clear();
    line_.clear();
    notifications_.clear();
  }
  for (const uint64_t unique : left) send(unique, EIO);
}

void Session::stop() {
  refuse();
  const std::lock_guard<std::mutex> lock(mutex_);
  is_stopping_ = true;
  work_.notify_all();
  news_.notify_all();
}

void Session::close() {
  threads_.join();
  if (std::exchange(is_closed_, true)) return;
  ::close(device_);
  ::close(std::exchange(leave_fd_, -1));
}
