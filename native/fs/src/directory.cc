/** Looking: open, stat, a whole directory in one call, the map of a sparse file, links, file systems. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "door.h"

/**
 * An inode number as a double. Network and overlay file systems use all 64 bits; rounding would make neighbours equal, so
 * numbers above 2^53 are mixed (the finalizer of MurmurHash3) and cut.
 */
double inode_number(uint64_t inode) {
  if (inode <= static_cast<uint64_t>(kMaxSafeInteger)) return static_cast<double>(inode);
  inode ^= inode >> 33;
  inode *= 0xff51afd7ed558ccdULL;
  inode ^= inode >> 33;
  inode *= 0xc4ceb9fe1a85ec53ULL;
  inode ^= inode >> 33;
  return static_cast<double>(inode >> 11);
}

namespace {

/** Columns of a row; src/source/door.ts names them. */
constexpr size_t kColumns = 16;

/** Mode is -errno where the entry could not be looked at, everything else then 0. */
void stat_into(int directory, const char* name, double* row) {
  struct statx found;
  const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
  if (statx(directory, name, flags, STATX_BASIC_STATS | STATX_MNT_ID, &found) < 0) {
    std::fill_n(row, kColumns, 0.0);
    row[0] = -errno;
    return;
  }
  row[0] = found.stx_mode;
  row[1] = found.stx_uid;
  row[2] = found.stx_gid;
  row[3] = static_cast<double>(found.stx_size);
  row[4] = static_cast<double>(found.stx_blocks);
  row[5] = seconds_of(found.stx_mtime.tv_sec);
  row[6] = found.stx_mtime.tv_nsec;
  row[7] = seconds_of(found.stx_ctime.tv_sec);
  row[8] = found.stx_ctime.tv_nsec;
  row[9] = static_cast<double>(makedev(found.stx_dev_major, found.stx_dev_minor));
  row[10] = inode_number(found.stx_ino);
  row[11] = found.stx_nlink;
  row[12] = found.stx_rdev_major;
  row[13] = found.stx_rdev_minor;
  row[14] = (found.stx_mask & STATX_MNT_ID) != 0 ? static_cast<double>(found.stx_mnt_id) : -1;
  row[15] = static_cast<double>(found.stx_attributes & 0xffffffff);
}

/** open(directory, path, flags, mode, resolve): openat2(2); O_CLOEXEC is always set. */
Napi::Value open(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto path = path_of(info[1]);
  const auto flags = unsigned32(info[2]);
  const auto mode = unsigned32(info[3]);
  const auto resolve = unsigned32(info[4]);
  if (!directory || !path || !flags || !mode || !resolve) return refused(info, EINVAL);
  struct open_how how = {};
  how.flags = *flags | O_CLOEXEC;
  how.mode = *mode;
  how.resolve = *resolve;
  return answered(info, syscall(SYS_openat2, *directory, path->c_str(), &how, sizeof how));
}

Napi::Value close(const Napi::CallbackInfo& info) {
  const auto file = descriptor(info[0]);
  if (!file || *file < 0) return refused(info, EBADF);
  return answered(info, ::close(*file));
}

/** stat(directory, path, row): statx(2) of the entry itself, or of `directory` where the path is empty. */
Napi::Value stat(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto path = path_of(info[1]);
  if (!directory || !path || !info[2].IsTypedArray()) return refused(info, EINVAL);
  const auto array = info[2].As<Napi::TypedArray>();
  if (array.TypedArrayType() != napi_float64_array || array.ElementLength() < kColumns) return refused(info, EINVAL);
  double* row = info[2].As<Napi::Float64Array>().Data();
  stat_into(*directory, path->c_str(), row);
  return Napi::Number::New(info.Env(), row[0] < 0 ? row[0] : 0);
}

struct linux_dirent64 {
  uint64_t d_ino;
  int64_t d_off;
  uint16_t d_reclen;
  uint8_t d_type;
  char d_name[];
};

struct Name {
  uint32_t start;
  uint32_t length;
};

/**
 * scan(directory): every entry of an open directory but `.` and `..`, in order of the bytes of their names: names with a
 * NUL after each, and one row each. Reads on from where the descriptor stands.
 */
Napi::Value scan(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto directory = descriptor(info[0]);
  if (!directory || *directory < 0) return refused(info, EBADF);

  std::string text;
  std::vector<Name> names;
  // glibc asks for 32 KiB a time; larger pays only on network file systems.
  constexpr size_t kBufferBytes = 64 * 1024;
  const std::unique_ptr<char[]> buffer(new char[kBufferBytes]);
  for (;;) {
    const long got = syscall(SYS_getdents64, *directory, buffer.get(), kBufferBytes);
    if (got < 0) return refused(info, errno);
    if (got == 0) break;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const linux_dirent64*>(buffer.get() + at);
      at += entry->d_reclen;
      const char* name = entry->d_name;
      if (name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0))) continue;
      const size_t length = std::strlen(name);
      // A JavaScript string holds about 2^29 characters; the kernel itself gives up long before.
      if (text.size() + length >= (1U << 29)) return refused(info, EOVERFLOW);
      names.push_back({static_cast<uint32_t>(text.size()), static_cast<uint32_t>(length)});
      text.append(name, length + 1);
    }
  }
  const char* base = text.data();
  std::sort(names.begin(), names.end(), [base](const Name& a, const Name& b) {
    const int order = std::memcmp(base + a.start, base + b.start, std::min(a.length, b.length));
    return order != 0 ? order < 0 : a.length < b.length;
  });

  std::string sorted;
  sorted.reserve(text.size());
  const Napi::Value rows = doubles_of(info, names.size() * kColumns, [&](double* row) {
    for (const Name& name : names) {
      stat_into(*directory, base + name.start, row);
      sorted.append(base + name.start, name.length + 1);
      row += kColumns;
    }
  });
  if (!rows.IsTypedArray()) return rows;
  const Napi::Value joined = latin1_string(info, sorted);
  if (!joined.IsString()) return joined;
  Napi::Object reply = Napi::Object::New(env);
  reply.Set("names", joined);
  reply.Set("rows", rows);
  return reply;
}

/**
 * dataRanges(file, from, rangesMax): offset and length of runs of data at or behind `from`, ascending, at most so many; none
 * where only a hole follows. Moves the file's position.
 */
Napi::Value data_ranges(const Napi::CallbackInfo& info) {
  const auto file = descriptor(info[0]);
  const auto from = whole(info[1], 0, kMaxSafeInteger);
  const auto ranges_max = unsigned32(info[2]);
  if (!file || !from || !ranges_max) return refused(info, EINVAL);
  std::vector<double> ranges;
  off_t at = *from;
  while (ranges.size() < size_t{2} * *ranges_max) {
    const off_t data = lseek(*file, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return refused(info, errno);
    const off_t hole = lseek(*file, data, SEEK_HOLE);
    // Cut short meanwhile.
    if (hole < 0 && errno == ENXIO) break;
    if (hole < 0) return refused(info, errno);
    ranges.push_back(static_cast<double>(data));
    ranges.push_back(static_cast<double>(hole - data));
    at = hole;
  }
  return doubles_of(info, ranges.size(), [&](double* reply) { std::copy(ranges.begin(), ranges.end(), reply); });
}

/** readLink(directory, name): the target's bytes. */
Napi::Value read_link(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto path = path_of(info[1]);
  if (!directory || !path) return refused(info, EINVAL);
  // PATH_MAX is the longest a target can be (symlink(2)).
  char target[4096];
  const ssize_t length = readlinkat(*directory, path->c_str(), target, sizeof target);
  if (length < 0) return refused(info, errno);
  return buffer_of(info.Env(), target, static_cast<size_t>(length));
}

/**
 * readLinks(directory, names): of entries of a directory, names with a NUL after each. An answer each, 0 or -errno, and the
 * targets with a NUL after each, empty where refused.
 */
Napi::Value read_links(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto names = latin1_of(info[1]);
  if (!directory || *directory < 0 || !names || (!names->empty() && names->back() != 0)) return refused(info, EINVAL);
  std::vector<int32_t> answers;
  std::string targets;
  char target[4096];
  for (const char* name = names->c_str(); name < names->c_str() + names->size(); name += std::strlen(name) + 1) {
    const ssize_t length = readlinkat(*directory, name, target, sizeof target);
    answers.push_back(length < 0 ? -errno : 0);
    if (length > 0) targets.append(target, static_cast<size_t>(length));
    targets.push_back(0);
  }
  const Napi::Value joined = latin1_string(info, targets);
  if (!joined.IsString()) return joined;
  Napi::Object reply = Napi::Object::New(info.Env());
  reply.Set("answers", numbers_array<int32_t>(info, napi_int32_array, answers));
  reply.Set("targets", joined);
  return reply;
}

/** fileSystem(file): type (linux/magic.h), bytes in all, bytes free for us, inodes in all, inodes free. */
Napi::Value file_system(const Napi::CallbackInfo& info) {
  const auto file = descriptor(info[0]);
  struct statfs found;
  if (!file || *file < 0) return refused(info, EBADF);
  if (fstatfs(*file, &found) < 0) return refused(info, errno);
  const double block = static_cast<double>(found.f_frsize);
  return doubles_of(info, 5, [&](double* reply) {
    reply[0] = static_cast<double>(static_cast<uint32_t>(found.f_type));
    reply[1] = static_cast<double>(found.f_blocks) * block;
    reply[2] = static_cast<double>(found.f_bavail) * block;
    reply[3] = static_cast<double>(found.f_files);
    reply[4] = static_cast<double>(found.f_ffree);
  });
}

}  // namespace

void export_directory(Napi::Env env, Napi::Object exports) {
  exports.Set("open", Napi::Function::New<open>(env, "open"));
  exports.Set("close", Napi::Function::New<close>(env, "close"));
  exports.Set("stat", Napi::Function::New<stat>(env, "stat"));
  exports.Set("scan", Napi::Function::New<scan>(env, "scan"));
  exports.Set("dataRanges", Napi::Function::New<data_ranges>(env, "dataRanges"));
  exports.Set("readLink", Napi::Function::New<read_link>(env, "readLink"));
  exports.Set("readLinks", Napi::Function::New<read_links>(env, "readLinks"));
  exports.Set("fileSystem", Napi::Function::New<file_system>(env, "fileSystem"));
}
