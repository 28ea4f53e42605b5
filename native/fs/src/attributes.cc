/** Attributes of one entry: extended attributes, owner, mode, times. Nothing here follows a symbolic link at the end of a path. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>
#include <string_view>
#include <vector>

#include "door.h"

namespace {

/** linux/limits.h: XATTR_LIST_MAX and XATTR_SIZE_MAX, so one call of each is enough. */
constexpr size_t kXattrBytesMax = 65536;

/** Values of one reply of `xattrsOf`, beyond which it stops: a hostile directory may hold gigabytes of them. */
constexpr size_t kReplyBytesMax = 4 << 20;

/** The same on every architecture (asm-generic/unistd.h of Linux 6.13). */
constexpr long kGetXattrAt = 464;
constexpr long kListXattrAt = 465;

/** struct xattr_args of linux/xattr.h */
struct XattrArgs {
  alignas(8) uint64_t value;
  uint32_t size;
  uint32_t flags;
};

/** Whether the kernel has these calls: it finds fault with the flags. Older ones say ENOSYS, a filter of calls EPERM. */
bool has_xattr_at() {
  static const bool has = syscall(kListXattrAt, AT_FDCWD, ".", ~0U, nullptr, size_t{0}) < 0 && errno == EINVAL;
  return has;
}

/**
 * What a call is about: a name in a directory, or where the name is empty the descriptor itself.
 *
 * The calls on extended attributes know no directory descriptor before Linux 6.13, and those on descriptors refuse one
 * that is only a place (O_PATH, EBADF), as those on mode and times do. All are reached by a path through /proc/self/fd,
 * whose last part is then not followed or, being the descriptor itself, followed; what a descriptor can do by itself is
 * tried first, for it takes half the time.
 */
struct Place {
  int directory;
  std::string name;
  std::string path;
  bool is_followed;
};

std::string through_proc(int directory) {
  return "/proc/self/fd/" + std::to_string(directory);
}

std::optional<Place> place_of(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  if (!directory || !name || (name->empty() && *directory < 0)) return std::nullopt;
  if (*directory == AT_FDCWD || (!name->empty() && (*name)[0] == '/')) return Place{*directory, *name, *name, false};
  const std::string through = through_proc(*directory);
  if (name->empty()) return Place{*directory, *name, through, true};
  return Place{*directory, *name, through + "/" + *name, false};
}

ssize_t list_xattrs(const Place& place, char* buffer, size_t length) {
  const char* path = place.path.c_str();
  if (place.is_followed) return listxattr(path, buffer, length);
  if (!has_xattr_at()) return llistxattr(path, buffer, length);
  return syscall(kListXattrAt, place.directory, place.name.c_str(), AT_SYMLINK_NOFOLLOW, buffer, length);
}

ssize_t get_xattr(const Place& place, const char* name, char* buffer, size_t length) {
  const char* path = place.path.c_str();
  if (place.is_followed) return getxattr(path, name, buffer, length);
  if (!has_xattr_at()) return lgetxattr(path, name, buffer, length);
  XattrArgs args = {reinterpret_cast<uint64_t>(buffer), static_cast<uint32_t>(length), 0};
  return syscall(kGetXattrAt, place.directory, place.name.c_str(), AT_SYMLINK_NOFOLLOW, name, &args, sizeof args);
}

/** Memory for any list of names and any value, taken when the first entry has some: most have none. */
class Room {
 public:
  char* names() { return names_ ? names_.get() : (names_.reset(new char[kXattrBytesMax]), names_.get()); }
  char* value() { return value_ ? value_.get() : (value_.reset(new char[kXattrBytesMax]), value_.get()); }

 private:
  std::unique_ptr<char[]> names_;
  std::unique_ptr<char[]> value_;
};

/** Calls `take` with each attribute of an entry: name and value. How many there are, or -errno. */
template <typename Take>
int32_t each_xattr(const Place& place, Room& room, Take take) {
  // Asked without a buffer first, for there mostly are none.
  ssize_t listed = list_xattrs(place, nullptr, 0);
  if (listed < 0) return -errno;
  if (listed == 0) return 0;
  char* names = room.names();
  char* value = room.value();
  listed = list_xattrs(place, names, kXattrBytesMax);
  if (listed < 0) return -errno;
  int32_t count = 0;
  for (const char* name = names; name < names + listed; name += std::strlen(name) + 1) {
    const ssize_t length = get_xattr(place, name, value, kXattrBytesMax);
    // Removed since it was listed.
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) return -errno;
    take(std::string_view(name), std::string_view(value, static_cast<size_t>(length)));
    count += 1;
  }
  return count;
}

/** getXattrs(directory, name): names and values in turn, in the kernel's order. */
Napi::Value get_xattrs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto place = place_of(info);
  if (!place) return refused(info, EINVAL);
  Napi::Array reply = Napi::Array::New(env);
  uint32_t length = 0;
  Room room;
  const int32_t count = each_xattr(*place, room, [&](std::string_view name, std::string_view value) {
    reply.Set(length++, buffer_of(env, name.data(), name.size()));
    reply.Set(length++, buffer_of(env, value.data(), value.size()));
  });
  if (count < 0) return refused(info, -count);
  return reply;
}

/**
 * xattrsOf(directory, names): of entries of a directory, names with a NUL after each. An answer each, how many it has or
 * -errno; of those that have some names and values in turn, one behind the other, and the length of each. Ends early
 * where the reply has become long.
 */
Napi::Value xattrs_of(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto names = latin1_of(info[1]);
  if (!directory || *directory < 0 || !names || (!names->empty() && names->back() != 0)) return refused(info, EINVAL);
  std::vector<int32_t> answers;
  std::vector<uint32_t> lengths;
  std::string bytes;
  Room room;
  Place place = {*directory, "", "", false};
  const std::string parent = through_proc(*directory) + "/";
  // Without /proc everything would seem to be gone.
  if (!has_xattr_at() && access(parent.c_str(), F_OK) != 0) return refused(info, errno == ENOENT ? ENOSYS : errno);
  for (size_t at = 0; at < names->size() && bytes.size() < kReplyBytesMax; at += place.name.size() + 1) {
    place.name = names->c_str() + at;
    if (!has_xattr_at()) place.path = parent + place.name;
    const size_t before = bytes.size();
    const size_t lengths_before = lengths.size();
    answers.push_back(each_xattr(place, room, [&](std::string_view name, std::string_view value) {
      bytes.append(name).append(value);
      lengths.push_back(static_cast<uint32_t>(name.size()));
      lengths.push_back(static_cast<uint32_t>(value.size()));
    }));
    if (answers.back() >= 0) continue;
    bytes.resize(before);
    lengths.resize(lengths_before);
  }
  Napi::Object reply = Napi::Object::New(info.Env());
  reply.Set("answers", numbers_array<int32_t>(info, napi_int32_array, answers));
  reply.Set("lengths", numbers_array<uint32_t>(info, napi_uint32_array, lengths));
  reply.Set("bytes", buffer_of(info.Env(), bytes.data(), bytes.size()));
  return reply;
}

/** setXattr(directory, name, attribute, value): made or replaced. */
Napi::Value set_xattr(const Napi::CallbackInfo& info) {
  const auto place = place_of(info);
  const auto attribute = path_of(info[2]);
  const auto value = bytes_of(info[3]);
  if (!place || !attribute || !value) return refused(info, EINVAL);
  const char* path = place->path.c_str();
  const char* name = attribute->c_str();
  if (!place->is_followed) return answered(info, lsetxattr(path, name, value->data, value->length, 0));
  const int result = fsetxattr(place->directory, name, value->data, value->length, 0);
  if (result == 0 || errno != EBADF) return answered(info, result);
  return answered(info, setxattr(path, name, value->data, value->length, 0));
}

/** removeXattr(directory, name, attribute) */
Napi::Value remove_xattr(const Napi::CallbackInfo& info) {
  const auto place = place_of(info);
  const auto attribute = path_of(info[2]);
  if (!place || !attribute) return refused(info, EINVAL);
  const char* path = place->path.c_str();
  const char* name = attribute->c_str();
  if (!place->is_followed) return answered(info, lremovexattr(path, name));
  const int result = fremovexattr(place->directory, name);
  if (result == 0 || errno != EBADF) return answered(info, result);
  return answered(info, removexattr(path, name));
}

/** changeOwner(directory, name, uid, gid) */
Napi::Value change_owner(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  const auto uid = unsigned32(info[2]);
  const auto gid = unsigned32(info[3]);
  if (!directory || !name || !uid || !gid) return refused(info, EINVAL);
  return answered(info, fchownat(*directory, name->c_str(), *uid, *gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH));
}

/** changeMode(directory, name, mode): EOPNOTSUPP for symbolic links. */
Napi::Value change_mode(const Napi::CallbackInfo& info) {
  const auto place = place_of(info);
  const auto mode = whole(info[2], 0, 07777);
  if (!place || !mode) return refused(info, EINVAL);
  const auto bits = static_cast<mode_t>(*mode);
  if (!place->is_followed) {
    return answered(info, fchmodat(place->directory, place->name.c_str(), bits, AT_SYMLINK_NOFOLLOW));
  }
  const int result = fchmod(place->directory, bits);
  if (result == 0 || errno != EBADF) return answered(info, result);
  return answered(info, chmod(place->path.c_str(), bits));
}

/** setTimes(directory, name, atimeSeconds, atimeNanoseconds, mtimeSeconds, mtimeNanoseconds) */
Napi::Value set_times(const Napi::CallbackInfo& info) {
  const auto place = place_of(info);
  if (!place) return refused(info, EINVAL);
  timespec times[2];
  for (int index = 0; index < 2; index += 1) {
    const auto seconds = whole(info[2 + 2 * index], -kMaxSafeInteger, kMaxSafeInteger);
    // UTIME_NOW and UTIME_OMIT lie above the nanoseconds of a second (sys/stat.h).
    const auto nanoseconds = whole(info[3 + 2 * index], 0, UTIME_NOW);
    if (!seconds || !nanoseconds) return refused(info, EINVAL);
    times[index].tv_sec = *seconds;
    times[index].tv_nsec = *nanoseconds;
  }
  if (!place->is_followed) {
    return answered(info, utimensat(place->directory, place->name.c_str(), times, AT_SYMLINK_NOFOLLOW));
  }
  const int result = futimens(place->directory, times);
  if (result == 0 || errno != EBADF) return answered(info, result);
  return answered(info, utimensat(AT_FDCWD, place->path.c_str(), times, 0));
}

}  // namespace

void export_attributes(Napi::Env env, Napi::Object exports) {
  exports.Set("getXattrs", Napi::Function::New<get_xattrs>(env, "getXattrs"));
  exports.Set("xattrsOf", Napi::Function::New<xattrs_of>(env, "xattrsOf"));
  exports.Set("setXattr", Napi::Function::New<set_xattr>(env, "setXattr"));
  exports.Set("removeXattr", Napi::Function::New<remove_xattr>(env, "removeXattr"));
  exports.Set("changeOwner", Napi::Function::New<change_owner>(env, "changeOwner"));
  exports.Set("changeMode", Napi::Function::New<change_mode>(env, "changeMode"));
  exports.Set("setTimes", Napi::Function::New<set_times>(env, "setTimes"));
}
