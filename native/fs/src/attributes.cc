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
 * What the calls on extended attributes, which know no directory descriptor before Linux 6.13, are given instead: a path
 * whose first part is the descriptor itself. Empty: the descriptor is the file.
 */
std::string through(int directory, const std::string& name) {
  if (name.empty()) return {};
  if (directory == AT_FDCWD || name[0] == '/') return name;
  return "/proc/self/fd/" + std::to_string(directory) + "/" + name;
}

struct Place {
  int file;
  std::string path;  // empty: `file` itself
};

std::optional<Place> place_of(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  if (!directory || !name || (name->empty() && *directory < 0)) return std::nullopt;
  return Place{*directory, through(*directory, *name)};
}

/** getXattrs(directory, name): names and values in turn, in the kernel's order. */
Napi::Value get_xattrs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto place = place_of(info);
  if (!place) return refused(info, EINVAL);
  const char* path = place->path.c_str();
  const bool is_open = place->path.empty();

  // Most entries have none: asked without a buffer first, that costs nothing.
  ssize_t listed = is_open ? flistxattr(place->file, nullptr, 0) : llistxattr(path, nullptr, 0);
  if (listed < 0) return refused(info, errno);
  Napi::Array reply = Napi::Array::New(env);
  if (listed == 0) return reply;

  const std::unique_ptr<char[]> names(new char[kXattrBytesMax]);
  const std::unique_ptr<char[]> value(new char[kXattrBytesMax]);
  listed = is_open ? flistxattr(place->file, names.get(), kXattrBytesMax)
                   : llistxattr(path, names.get(), kXattrBytesMax);
  if (listed < 0) return refused(info, errno);
  uint32_t count = 0;
  for (const char* name = names.get(); name < names.get() + listed; name += std::strlen(name) + 1) {
    const ssize_t length = is_open ? fgetxattr(place->file, name, value.get(), kXattrBytesMax)
                                   : lgetxattr(path, name, value.get(), kXattrBytesMax);
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
  return answered(info, place->path.empty()
                            ? fsetxattr(place->file, attribute->c_str(), value->data, value->length, 0)
                            : lsetxattr(place->path.c_str(), attribute->c_str(), value->data, value->length, 0));
}

/** removeXattr(directory, name, attribute) */
Napi::Value remove_xattr(const Napi::CallbackInfo& info) {
  const auto place = place_of(info);
  const auto attribute = path_of(info[2]);
  if (!place || !attribute) return refused(info, EINVAL);
  return answered(info, place->path.empty() ? fremovexattr(place->file, attribute->c_str())
                                            : lremovexattr(place->path.c_str(), attribute->c_str()));
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
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  const auto mode = whole(info[2], 0, 07777);
  if (!directory || !name || !mode || (name->empty() && *directory < 0)) return refused(info, EINVAL);
  const auto bits = static_cast<mode_t>(*mode);
  return answered(info, name->empty() ? fchmod(*directory, bits)
                                      : fchmodat(*directory, name->c_str(), bits, AT_SYMLINK_NOFOLLOW));
}

/** setTimes(directory, name, atimeSeconds, atimeNanoseconds, mtimeSeconds, mtimeNanoseconds) */
Napi::Value set_times(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  if (!directory || !name || (name->empty() && *directory < 0)) return refused(info, EINVAL);
  timespec times[2];
  for (int index = 0; index < 2; index += 1) {
    const auto seconds = whole(info[2 + 2 * index], -kMaxSafeInteger, kMaxSafeInteger);
    // UTIME_NOW and UTIME_OMIT lie above the nanoseconds of a second (sys/stat.h).
    const auto nanoseconds = whole(info[3 + 2 * index], 0, UTIME_NOW > UTIME_OMIT ? UTIME_NOW : UTIME_OMIT);
    if (!seconds || !nanoseconds) return refused(info, EINVAL);
    times[index].tv_sec = *seconds;
    times[index].tv_nsec = *nanoseconds;
  }
  return answered(info, name->empty() ? futimens(*directory, times)
                                      : utimensat(*directory, name->c_str(), times, AT_SYMLINK_NOFOLLOW));
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
