/** Making and unmaking entries beneath an open directory, by one name each. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "door.h"

namespace {

/** makeDirectory(directory, name, mode) */
Napi::Value make_directory(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  const auto mode = whole(info[2], 0, 07777);
  if (!directory || !name || !mode) return refused(info, EINVAL);
  return answered(info, mkdirat(*directory, name->c_str(), static_cast<mode_t>(*mode)));
}

/** makeNode(directory, name, mode, major, minor): mode with the type of the node, S_IFIFO and its kin. */
Napi::Value make_node(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  const auto mode = whole(info[2], 0, 0177777);
  const auto major_number = unsigned32(info[3]);
  const auto minor_number = unsigned32(info[4]);
  if (!directory || !name || !mode || !major_number || !minor_number) return refused(info, EINVAL);
  return answered(info, mknodat(*directory, name->c_str(), static_cast<mode_t>(*mode), makedev(*major_number, *minor_number)));
}

/** makeSymlink(target, directory, name) */
Napi::Value make_symlink(const Napi::CallbackInfo& info) {
  const auto target = path_of(info[0]);
  const auto directory = descriptor(info[1]);
  const auto name = path_of(info[2]);
  if (!target || !directory || !name) return refused(info, EINVAL);
  return answered(info, symlinkat(target->c_str(), *directory, name->c_str()));
}

/** makeLink(directory, name, toDirectory, toName): symbolic links are linked, not followed. */
Napi::Value make_link(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  const auto to_directory = descriptor(info[2]);
  const auto to_name = path_of(info[3]);
  if (!directory || !name || !to_directory || !to_name) return refused(info, EINVAL);
  return answered(info, linkat(*directory, name->c_str(), *to_directory, to_name->c_str(), 0));
}

/** rename(directory, name, toDirectory, toName, flags): renameat2(2) */
Napi::Value rename(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  const auto to_directory = descriptor(info[2]);
  const auto to_name = path_of(info[3]);
  const auto flags = unsigned32(info[4]);
  if (!directory || !name || !to_directory || !to_name || !flags) return refused(info, EINVAL);
  return answered(info, renameat2(*directory, name->c_str(), *to_directory, to_name->c_str(), *flags));
}

/** unlink(directory, name, flags): flags 0, or AT_REMOVEDIR. */
Napi::Value unlink(const Napi::CallbackInfo& info) {
  const auto directory = descriptor(info[0]);
  const auto name = path_of(info[1]);
  const auto flags = unsigned32(info[2]);
  if (!directory || !name || !flags) return refused(info, EINVAL);
  return answered(info, unlinkat(*directory, name->c_str(), static_cast<int>(*flags)));
}

/** lock(file): an exclusive flock(2), or EAGAIN. */
Napi::Value lock(const Napi::CallbackInfo& info) {
  const auto file = descriptor(info[0]);
  if (!file || *file < 0) return refused(info, EBADF);
  return answered(info, flock(*file, LOCK_EX | LOCK_NB));
}

/** syncFileSystem(file): all that was written to its file system is on disk. */
Napi::Value sync_file_system(const Napi::CallbackInfo& info) {
  const auto file = descriptor(info[0]);
  if (!file || *file < 0) return refused(info, EBADF);
  return answered(info, syncfs(*file));
}

}  // namespace

void export_tree(Napi::Env env, Napi::Object exports) {
  exports.Set("makeDirectory", Napi::Function::New<make_directory>(env, "makeDirectory"));
  exports.Set("makeNode", Napi::Function::New<make_node>(env, "makeNode"));
  exports.Set("makeSymlink", Napi::Function::New<make_symlink>(env, "makeSymlink"));
  exports.Set("makeLink", Napi::Function::New<make_link>(env, "makeLink"));
  exports.Set("rename", Napi::Function::New<rename>(env, "rename"));
  exports.Set("unlink", Napi::Function::New<unlink>(env, "unlink"));
  exports.Set("lock", Napi::Function::New<lock>(env, "lock"));
  exports.Set("syncFileSystem", Napi::Function::New<sync_file_system>(env, "syncFileSystem"));
}
