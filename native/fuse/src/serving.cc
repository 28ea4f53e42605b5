/** What the threads of a session do: requests taken from the device, and answered or put where their answer comes from. */
#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "session.h"

namespace {

/** The longest requests that may be worth an answer are forgets of thousands of nodes. The kernel asks for 8 KiB at least. */
constexpr size_t kRequestBytesMax = 64 << 10;
/** More than 20,000 requests: so many processes wait while JavaScript is busy. */
constexpr size_t kQueueBytesMax = 8 << 20;

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

/** All of it: a file that has less was cut short by somebody. */
bool read_whole(int file, char* bytes, size_t length, uint64_t offset) {
  size_t filled = 0;
  while (filled < length) {
    const ssize_t count = pread(file, bytes + filled, length - filled, static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    filled += static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

void Session::read_device() {
  std::vector<char> request(kRequestBytesMax);
  Means means;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
  }
  while (!is_leaving_) {
    const ssize_t length = ::read(device_, request.data(), request.size());
    if (length > 0) {
      handle(request.data(), static_cast<size_t>(length), means);
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

void Session::handle(const char* request, size_t length, Means& means) {
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
      if (is_agreed && !is_refusing) return read(request, length, means);
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
  {
    // Before the kernel hears it: its next request may be read by another thread while this one goes on.
    const std::lock_guard<std::mutex> lock(mutex_);
    is_agreed_ = true;
  }
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
  agreement_ = Agreement{std::string(request, length), std::string(reinterpret_cast<const char*>(&out), sizeof out), may_back};
  office_->ring();
}

void Session::enqueue(const char* request, size_t length, bool is_urgent) {
  queue_.add(request, length, is_urgent);
  if (!is_rung_) office_->ring();
  is_rung_ = true;
}

std::optional<std::string> Session::take_ahead(const char* request, size_t length) {
  const auto header = copied<InHeader>(request);
  const auto opcode = static_cast<Opcode>(header.opcode);
  if (opcode != Opcode::kReaddirplus && opcode != Opcode::kReaddir) return std::nullopt;
  const auto in = copied<ReadIn>(request + sizeof header);
  const auto found = ahead_.find(in.handle);
  if (found == ahead_.end() || found->second.opcode != header.opcode) return std::nullopt;
  if (found->second.offset != in.offset || found->second.body.size() > in.size) return std::nullopt;
  std::string body = std::move(found->second.body);
  ahead_.erase(found);
  // Before the answer: what the kernel asks then, as to close the directory, comes behind it.
  enqueue_answered(request, length);
  return body;
}

void Session::enqueue_answered(const char* request, size_t length) {
  auto header = copied<InHeader>(request);
  std::string told(request, length);
  header.opcode |= kAnswered;
  __builtin_memcpy(told.data(), &header, sizeof header);
  enqueue(told.data(), told.size(), false);
}

bool Session::list(const char* request, size_t length) {
  const auto header = copied<InHeader>(request);
  const bool is_plus = static_cast<Opcode>(header.opcode) == Opcode::kReaddirplus;
  if (!is_plus && static_cast<Opcode>(header.opcode) != Opcode::kReaddir) return false;
  const auto in = copied<ReadIn>(request + sizeof header);
  std::shared_ptr<const Listing> listing;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = listings_.find(in.handle);
    if (found == listings_.end()) return false;
    listing = found->second;
  }
  const auto part = listing->from(in.offset, in.size, is_plus);
  if (part.is_end && part.count > 0) {
    // Before the answer: what the kernel asks then comes behind it.
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!is_refusing_) enqueue_answered(request, length);
  }
  if (is_plus) {
    const auto bytes = listing->entries(part);
    send(header.unique, 0, bytes.data(), bytes.size());
  } else {
    const std::string bytes = listing->names(part);
    send(header.unique, 0, bytes.data(), bytes.size());
  }
  return true;
}

void Session::pass(const char* request, size_t length) {
  if (list(request, length)) return;
  const auto header = copied<InHeader>(request);
  std::optional<std::string> body;
  int error = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (is_refusing_) {
      error = EIO;
    } else if ((body = take_ahead(request, length))) {
    } else if (queue_.size_bytes() + length > kQueueBytesMax && !is_due(header.opcode)) {
      error = ENOMEM;
    } else {
      places_[header.unique] = Place::kQueue;
      enqueue(request, length, false);
    }
  }
  if (body) send(header.unique, 0, body->data(), body->size());
  if (error != 0) send(header.unique, error);
}

/** Bytes that lie in memory are sent at once; for others the disk is waited for on another thread. */
void Session::read(const char* request, size_t length, Means& means) {
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
  const OutHeader header = {static_cast<uint32_t>(sizeof header + wanted), 0, unique};
  // The file's own pages, with no copy between. Should they go meanwhile the kernel fetches them.
  const bool is_near = is_kernel_ && served->is_in_memory(in.offset, wanted);
  if (is_near && means.pipe.send(device_, header, served->file, in.offset, wanted)) return;
  auto& buffer = means.buffer;
  if (buffer.size() < wanted) buffer.resize(wanted);
  const iovec piece = {buffer.data(), wanted};
  const ssize_t count = wanted == 0 ? 0 : preadv2(served->file, &piece, 1, static_cast<off_t>(in.offset), RWF_NOWAIT);
  if (count == static_cast<ssize_t>(wanted)) {
    send(unique, 0, buffer.data(), wanted);
    return;
  }
  const int file = served->file;
  begin_job({unique, std::move(served), file, in.offset, static_cast<uint32_t>(wanted)}, Place::kQueue);
}

/** @param from where it is: kJavaScript for one that was handed over, kQueue for one that was just read */
void Session::begin_job(Job job, Place from) {
  const uint64_t unique = job.unique;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = places_.find(unique);
    if (from == Place::kJavaScript && (found == places_.end() || found->second != from)) return;
    if (!is_refusing_) {
      places_[unique] = Place::kLine;
      line_.push_back(std::move(job));
      work_.notify_one();
      return;
    }
    places_.erase(unique);
  }
  send(unique, EIO);
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
    const bool is_read = read_whole(job.file, buffer.data(), job.length, job.offset);
    job.served.reset();
    lock.lock();
    places_.erase(job.unique);
    lock.unlock();
    if (is_read) {
      send(job.unique, 0, buffer.data(), job.length);
    } else {
      send(job.unique, EIO);
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
