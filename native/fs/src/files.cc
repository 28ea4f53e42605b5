/**
 * Many small files in one call: each opened beneath its source, compared with what was seen of it before, read whole to
 * its place behind its head, and compared again. A file costs its system calls and little more.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string_view>

#include "digits.h"
#include "door.h"
#include "heads.h"

namespace {

/** Columns of a stamp: size, mtime, its nanoseconds, ctime, its nanoseconds, inode. */
constexpr size_t kStampNumbers = 6;
/** Of a source: its open directory or -errno, flags to open a file with, RESOLVE_*. */
constexpr size_t kSourceNumbers = 3;
constexpr uint8_t kNothingToRead = 255;
/** Of a file whose head is among the heads. */
constexpr uint8_t kNoFrame = 255;

/** Answers beside -errno; src/source/door.ts names them. */
constexpr int32_t kRead = 0;
constexpr int32_t kOtherThanSeen = 1;
constexpr int32_t kChangedWhileRead = 2;
constexpr int32_t kNoFile = 3;

/** Heads and data begin at multiples of a tar record. */
constexpr size_t kRecordBytes = 512;
/** linux/limits.h: PATH_MAX counts the closing NUL. */
constexpr size_t kPortionBytesMax = 4095;

struct Batch {
  Numbers<int32_t> sources;
  Numbers<uint8_t> source_of;
  std::string paths;
  Bytes heads;
  Numbers<uint32_t> head_ends;
  Numbers<double> stamps;
  std::vector<Frame> frames;
  Numbers<uint8_t> frame_of;
};

struct Results {
  Numbers<int32_t> answers;
  Numbers<uint32_t> offsets;
  Numbers<uint32_t> read_bytes;
};

struct Source {
  int root;
  uint64_t flags;
  uint64_t resolve;
};

constexpr size_t padded(size_t length) {
  return (length + kRecordBytes - 1) / kRecordBytes * kRecordBytes;
}

void clear(char* from, size_t length) {
  if (length > 0) std::memset(from, 0, length);
}

int open_beneath(int directory, const char* path, uint64_t flags, uint64_t resolve) {
  struct open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve;
  const long result = uninterrupted([&] { return syscall(SYS_openat2, directory, path, &how, sizeof how); });
  return result < 0 ? -errno : static_cast<int>(result);
}

/** The directory of the last name, kept open while names share it. Only a place: nothing is read through it but names. */
class Parent {
 public:
  Parent() = default;
  Parent(const Parent&) = delete;
  Parent& operator=(const Parent&) = delete;
  ~Parent() { drop(); }

  /** Its descriptor, the source's own where the path is empty, or -errno. Stays this object's. */
  int open(uint8_t index, const Source& source, std::string_view path) {
    if (path.empty()) return source.root;
    if (is_set_ && index == source_ && path == path_) return answer_;
    drop();
    is_set_ = true;
    source_ = index;
    path_ = path;
    answer_ = walk(source);
    return answer_;
  }

 private:
  /** Paths longer than the kernel takes at once are walked in portions, cut at slashes. */
  int walk(const Source& source) {
    std::string rest = path_;
    int place = source.root;
    for (;;) {
      const size_t slash = rest.size() <= kPortionBytesMax ? std::string::npos : rest.rfind('/', kPortionBytesMax);
      const bool is_last = slash == std::string::npos || slash == 0;
      const std::string portion = is_last ? rest : rest.substr(0, slash);
      const int next = open_beneath(place, portion.c_str(), O_PATH | O_DIRECTORY, source.resolve);
      if (place != source.root) ::close(place);
      if (next < 0 || is_last) return next;
      place = next;
      rest.erase(0, slash + 1);
    }
  }

  void drop() {
    if (is_set_ && answer_ >= 0) ::close(answer_);
    is_set_ = false;
  }

  bool is_set_ = false;
  uint8_t source_ = 0;
  std::string path_;
  int answer_ = 0;
};

int open_file(int directory, const char* name, const Source& source) {
  const int file = open_beneath(directory, name, source.flags, source.resolve);
  // Only the owner and root may leave the access time alone (open(2)).
  if (file != -EPERM || (source.flags & O_NOATIME) == 0) return file;
  return open_beneath(directory, name, source.flags & ~static_cast<uint64_t>(O_NOATIME), source.resolve);
}

/** Answers what is at hand: a file as it was seen, or not. */
int32_t compare(int file, const double* stamp) {
  struct statx found;
  constexpr unsigned kMask = STATX_TYPE | STATX_SIZE | STATX_INO | STATX_MTIME | STATX_CTIME;
  if (uninterrupted([&] { return statx(file, "", AT_EMPTY_PATH, kMask, &found); }) < 0) return -errno;
  if (!S_ISREG(found.stx_mode)) return kNoFile;
  const bool is_same = static_cast<double>(found.stx_size) == stamp[0] &&
                       seconds_of(found.stx_mtime.tv_sec) == stamp[1] && found.stx_mtime.tv_nsec == stamp[2] &&
                       seconds_of(found.stx_ctime.tv_sec) == stamp[3] && found.stx_ctime.tv_nsec == stamp[4] &&
                       inode_number(found.stx_ino) == stamp[5];
  return is_same ? kRead : kOtherThanSeen;
}

/** Reads up to `length` bytes; how many there were, or -errno. */
ssize_t read_fully(int file, char* into, size_t length) {
  size_t done = 0;
  while (done < length) {
    const ssize_t count = uninterrupted([&] { return read(file, into + done, length - done); });
    if (count < 0) return -errno;
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return static_cast<ssize_t>(done);
}

/** Reads one open file; what it is too short of is zeros. */
int32_t read_open(int file, const double* stamp, char* into, uint32_t& read_bytes) {
  const int32_t before = compare(file, stamp);
  if (before != kRead) return before;
  const size_t size = static_cast<size_t>(stamp[0]);
  const ssize_t got = read_fully(file, into, size);
  if (got < 0) return static_cast<int32_t>(got);
  read_bytes = static_cast<uint32_t>(got);
  clear(into + got, size - static_cast<size_t>(got));
  const int32_t after = compare(file, stamp);
  if (after < 0) return after;
  return after == kRead && static_cast<size_t>(got) == size ? kRead : kChangedWhileRead;
}

/** A file with a frame that there is, and a name and times that it can take. */
bool is_framed(const Batch& batch, size_t index, std::string_view path) {
  const uint8_t frame = batch.frame_of.data[index];
  const double* stamp = batch.stamps.data + index * kStampNumbers;
  return frame < batch.frames.size() && batch.source_of.data[index] != kNothingToRead &&
         has_room(batch.frames[frame], path) && is_moment(stamp + 1) && is_moment(stamp + 3);
}

size_t head_bytes(const Batch& batch, size_t index, size_t given) {
  return given + (batch.frame_of.data[index] == kNoFrame ? 0 : kFrameBytes);
}

/** Whether everything is of equal length, ascends as it should and has room. */
bool is_sound(const Batch& batch, const Results& results, size_t room) {
  const size_t count = batch.source_of.length;
  if (batch.head_ends.length != count || batch.stamps.length != count * kStampNumbers) return false;
  if (batch.frame_of.length != count) return false;
  if (results.answers.length != count || results.offsets.length != count || results.read_bytes.length != count) return false;
  if (batch.sources.length % kSourceNumbers != 0) return false;
  size_t names = 0;
  for (const char byte : batch.paths) names += byte == 0 ? 1 : 0;
  if (names != count || (count > 0 && batch.paths.back() != 0)) return false;
  size_t start = 0;
  size_t needed = 0;
  const char* path = batch.paths.data();
  for (size_t index = 0; index < count; index += 1) {
    const size_t end = batch.head_ends.data[index];
    if (end < start || end > batch.heads.length) return false;
    const std::string_view name(path);
    path += name.size() + 1;
    const uint8_t frame = batch.frame_of.data[index];
    if (frame != kNoFrame && !is_framed(batch, index, name)) return false;
    const uint8_t source = batch.source_of.data[index];
    const double size = source == kNothingToRead ? 0 : batch.stamps.data[index * kStampNumbers];
    if (source != kNothingToRead && source >= batch.sources.length / kSourceNumbers) return false;
    if (!(size >= 0 && size <= static_cast<double>(room)) || size != std::floor(size)) return false;
    needed = padded(needed + head_bytes(batch, index, end - start) + static_cast<size_t>(size));
    start = end;
    if (needed > room) return false;
  }
  return true;
}

int32_t read_file(Parent& parent, uint8_t index, const Source& source, std::string_view path, const double* stamp,
                  char* into, uint32_t& read_bytes) {
  const size_t slash = path.rfind('/');
  const bool is_nested = slash != std::string_view::npos;
  const int directory = source.root < 0 ? source.root : parent.open(index, source, path.substr(0, is_nested ? slash : 0));
  if (directory < 0) return directory;
  const int file = open_file(directory, path.data() + (is_nested ? slash + 1 : 0), source);
  if (file < 0) return file;
  const int32_t answer = read_open(file, stamp, into, read_bytes);
  ::close(file);
  return answer;
}

/** How many bytes there are then. */
size_t read_all(const Batch& batch, const Results& results, char* into) {
  Parent parent;
  size_t at = 0;
  size_t head = 0;
  const char* path = batch.paths.data();
  for (size_t index = 0; index < batch.source_of.length; index += 1) {
    const std::string_view name(path);
    path += name.size() + 1;
    const size_t head_end = batch.head_ends.data[index];
    const size_t data = at + head_bytes(batch, index, head_end - head);
    if (head_end > head) std::memcpy(into + at, batch.heads.data + head, head_end - head);
    const double* stamp = batch.stamps.data + index * kStampNumbers;
    const uint8_t frame = batch.frame_of.data[index];
    if (frame != kNoFrame) write_head(into + at + head_end - head, batch.frames[frame], name, stamp);
    head = head_end;
    const uint8_t source_index = batch.source_of.data[index];
    int32_t answer = kRead;
    uint32_t read_bytes = 0;
    size_t size = 0;
    if (source_index != kNothingToRead) {
      const int32_t* numbers = batch.sources.data + source_index * kSourceNumbers;
      const Source source = {numbers[0], static_cast<uint32_t>(numbers[1]), static_cast<uint32_t>(numbers[2])};
      size = static_cast<size_t>(stamp[0]);
      answer = read_file(parent, source_index, source, name, stamp, into + data, read_bytes);
    }
    results.answers.data[index] = answer;
    results.offsets.data[index] = static_cast<uint32_t>(at);
    results.read_bytes.data[index] = read_bytes;
    if (answer != kRead && answer != kChangedWhileRead) continue;
    const size_t end = data + size;
    at = padded(end);
    clear(into + end, at - end);
  }
  return at;
}

/**
 * readFiles({ sources, sourceOf, paths, heads, headEnds, stamps, frames, frameOf }, into, { answers, offsets, readBytes }):
 * bytes filled. One file behind the other, each head and its data padded to a tar record; what was not read takes no room.
 */
Napi::Value read_files(const Napi::CallbackInfo& info) {
  const auto into = numbers_of<char>(info[1], napi_uint8_array);
  if (!info[0].IsObject() || !into || !info[2].IsObject()) return refused(info, EINVAL);
  const auto batch = info[0].As<Napi::Object>();
  const auto results = info[2].As<Napi::Object>();
  const auto sources = numbers_of<int32_t>(batch.Get("sources"), napi_int32_array);
  const auto source_of = numbers_of<uint8_t>(batch.Get("sourceOf"), napi_uint8_array);
  auto paths = latin1_of(batch.Get("paths"));
  const auto heads = bytes_of(batch.Get("heads"));
  const auto head_ends = numbers_of<uint32_t>(batch.Get("headEnds"), napi_uint32_array);
  const auto stamps = numbers_of<double>(batch.Get("stamps"), napi_float64_array);
  auto frames = frames_of(batch.Get("frames"));
  const auto frame_of = numbers_of<uint8_t>(batch.Get("frameOf"), napi_uint8_array);
  const auto answers = numbers_of<int32_t>(results.Get("answers"), napi_int32_array);
  const auto offsets = numbers_of<uint32_t>(results.Get("offsets"), napi_uint32_array);
  const auto read_bytes = numbers_of<uint32_t>(results.Get("readBytes"), napi_uint32_array);
  if (!sources || !source_of || !paths || !heads || !head_ends || !stamps || !frames || !frame_of || !answers || !offsets || !read_bytes) {
    return refused(info, EINVAL);
  }
  // Lengths are 32 bits wide in the results.
  if (into->length > std::numeric_limits<int32_t>::max()) return refused(info, EINVAL);
  const Batch given = {*sources, *source_of, std::move(*paths), *heads, *head_ends, *stamps, std::move(*frames), *frame_of};
  const Results told = {*answers, *offsets, *read_bytes};
  if (!is_sound(given, told, into->length)) return refused(info, EINVAL);
  return Napi::Number::New(info.Env(), static_cast<double>(read_all(given, told, into->data)));
}

}  // namespace

void export_files(Napi::Env env, Napi::Object exports) {
  exports.Set("readFiles", Napi::Function::New<read_files>(env, "readFiles"));
}
