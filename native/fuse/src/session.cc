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
#include <chrono>
#include <utility>

namespace {

/** Measured best. */
constexpr int kReaders = 2;
constexpr int kFileReaders = 4;
constexpr size_t kTakeBytesMax = 64 << 10;
constexpr size_t kNotificationsMax = 8192;
/** Shorter files are copied: to map one costs as much as it saves. */
constexpr uint64_t kMappedBytesMin = 4 << 20;
/** Of 4 KiB: more than a read that was agreed on has. */
constexpr size_t kPagesMax = 1 << 10;
/** A process has 65,530 mappings at most (vm.max_map_count), and needs others. */
constexpr size_t kServedMappedMax = 4096;
/** A thread that is in a disk longer than this is not waited for at the end of the process. */
constexpr std::chrono::seconds kPatience(1);

bool is_character_device(int file) {
  struct stat found;
  return fstat(file, &found) == 0 && S_ISCHR(found.st_mode);
}

}  // namespace

Session::Session(std::shared_ptr<Office> office, int device, const InitOut& offer)
    : office_(std::move(office)),
      device_(device),
      offer_(offer),
      leave_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      is_kernel_(is_character_device(device)) {}

Session::~Session() {
  // Where nobody waited for the threads, the last of them is here.
  if (is_started_ && !is_closed_) ::close(device_);
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
      if (is_whole) is_whole = self->threads_.start(name, [session, run] { (session.get()->*run)(); });
      if (is_whole) ++started;
    };
    add("shelfs-notify", &Session::send_notifications);
    for (int count = 0; count < kFileReaders; ++count) add("shelfs-file", &Session::read_files);
    self->helpers_ = started;
    for (int count = 0; count < kReaders; ++count) add("shelfs-fuse", &Session::read_device);
    self->alive_ = started;
  }
  if (is_whole) {
    self->is_started_ = true;
    return session;
  }
  self->stop();
  self->threads_.join();
  return nullptr;
}

Served::Served(std::shared_ptr<Office> office, int file, uint64_t size, bool may_map)
    : file(file), size(size), office_(std::move(office)), map_(MAP_FAILED) {
  if (may_map && size >= kMappedBytesMin) map_ = mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
}

Served::~Served() {
  if (map_ != MAP_FAILED) munmap(map_, size);
  if (let_go != 0) office_->post(let_go, 0);
}

bool Served::is_in_memory(uint64_t offset, size_t length) const {
  if (map_ == MAP_FAILED || length == 0) return false;
  static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  char* const bytes = static_cast<char*>(map_);
  const uint64_t start = offset / page * page;
  const size_t pages = (offset + length - start + page - 1) / page;
  unsigned char is_there[kPagesMax];
  if (pages > kPagesMax || mincore(bytes + start, pages * page, is_there) != 0) return false;
  return std::all_of(is_there, is_there + pages, [](unsigned char one) { return (one & 1) != 0; });
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
  if (--alive_ > 0) return;
  left_.notify_all();
  office_->ring();
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

void Session::reply_from_file(uint64_t unique, int file, uint64_t offset, uint32_t length) {
  begin_job({unique, nullptr, file, offset, std::min(length, kReadBytesMax)}, Place::kJavaScript);
}

int Session::serve(uint64_t handle, int file, uint64_t size) {
  struct stat found;
  if (fstat(file, &found) < 0) return errno;
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool is_whole = S_ISREG(found.st_mode) && static_cast<uint64_t>(found.st_size) >= size;
  const bool may_map = is_whole && served_.size() < kServedMappedMax;
  auto served = std::make_shared<Served>(office_, file, size, may_map);
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

void Session::answer_ahead(uint64_t handle, Ahead ahead) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ahead_[handle] = std::move(ahead);
}

void Session::serve_listing(uint64_t handle, std::shared_ptr<const Listing> listing) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!is_refusing_) listings_[handle] = std::move(listing);
}

void Session::drop_ahead(uint64_t handle) {
  std::shared_ptr<const Listing> listing;  // freed without the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  ahead_.erase(handle);
  const auto found = listings_.find(handle);
  if (found == listings_.end()) return;
  listing = std::move(found->second);
  listings_.erase(found);
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
    ahead_.clear();
    listings_.clear();
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

void Session::abandon() {
  stop();
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!left_.wait_for(lock, kPatience, [this] { return alive_ == 0; })) return;
  }
  close();
}

void Session::close() {
  threads_.join();
  if (std::exchange(is_closed_, true)) return;
  ::close(device_);
  ::close(std::exchange(leave_fd_, -1));
}
