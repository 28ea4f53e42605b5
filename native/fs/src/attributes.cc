/** Attributes of one entry: extended attributes, owner, mode, times. Nothing here follows a symbolic link at the end of a path. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "door.h"

namespace {

/** linux/limits.h: XATTR_LIST_MAX and XATTR_SIZE_MAX, so one call of each is enough. */
constexpr size_t kXattrBytesMax = 65536;

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

std::optional<Place> place_of(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  if (!directory || !name || (name->empty() && *directory < 0)) return std::nullopt;
  if (*directory == AT_FDCWD || (!name->empty() && (*name)[0] == '/')) return Place{*directory, *name, *name, false};
  const std::string through = "/proc/self/fd/" + std::to_string(*directory);
  if (name->empty()) return Place{*directory, *name, through, true};
  return Place{*directory, *name, through + "/" + *name, false};
}

ssize_t list_xattrs(const Place& place, char* buffer, size_t length) {
  const char* path = place.path.c_str();
  return place.is_followed ? listxattr(path, buffer, length) : llistxattr(path, buffer, length);
}

ssize_t get_xattr(const Place& place, const char* name, char* buffer, size_t length) {
  const char* path = place.path.c_str();
  return place.is_followed ? getxattr(path, name, buffer, length) : lgetxattr(path, name, buffer, length);
}

/** getXattrs(directory, name): names and values in turn, in the kernel's order. */
Napi::Value get_xattrs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto place = place_of(info);
  if (!place) return refused(info, EINVAL);
  // Most entries have none: asked without a buffer first, that costs nothing.
  ssize_t listed = list_xattrs(*place, nullptr, 0);
  if (listed < 0) return refused(info, errno);
  Napi::Array reply = Napi::Array::New(env);
  if (listed == 0) return reply;

  const std::unique_ptr<char[]> names(new char[kXattrBytesMax]);
  const std::unique_ptr<char[]> value(new char[kXattrBytesMax]);
  listed = list_xattrs(*place, names.get(), kXattrBytesMax);
  if (listed < 0) return refused(info, errno);
  uint32_t count = 0;
  for (const char* name = names.get(); name < names.get() + listed; name += std::strlen(name) + 1) {
    const ssize_t length = get_xattr(*place, name, value.get(), kXattrBytesMax);
    // Removed since it was listed.
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) return refused(info, errno);
    reply.Set(count++, buffer_of(env, name, std::strlen(name)));
    reply.Set(count++, buffer_of(env, value.get(), static_cast<size_t>(length)));
  }
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
  exports.Set("setXattr", Napi::Function::New<set_xattr>(env, "setXattr"));
  exports.Set("removeXattr", Napi::Function::New<remove_xattr>(env, "removeXattr"));
  exports.Set("changeOwner", Napi::Function::New<change_owner>(env, "changeOwner"));
  exports.Set("changeMode", Napi::Function::New<change_mode>(env, "changeMode"));
  exports.Set("setTimes", Napi::Function::New<set_times>(env, "setTimes"));
}
