/** Names of users and groups, as the host's name service has them. */
#include <grp.h>
#include <pwd.h>

#include <vector>

#include "door.h"

namespace {

/** A record longer than this is a group with a hundred thousand members; then the number has to do. */
constexpr size_t kRecordBytesMax = 16 << 20;

/** Calls `look` with a buffer that grows until the record fits; what it returns last. */
template <typename Look>
int with_buffer(Look look) {
  std::vector<char> buffer(4096);
  for (;;) {
    const int error = look(buffer.data(), buffer.size());
    if (error != ERANGE || buffer.size() >= kRecordBytesMax) return error;
    buffer.resize(buffer.size() * 4);
  }
}

/** Where there is no such record some name services say so by an errno (getpwnam(3), notes). */
bool is_absence(int error) {
  return error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

/** userName(uid): bytes; empty where there is none. */
Napi::Value user_name(const Napi::CallbackInfo& info) {
  const auto id = unsigned32(info[0]);
  if (!id) return refused(info, EINVAL);
  std::string name;
  const int error = with_buffer([&](char* buffer, size_t length) {
    passwd record;
    passwd* found = nullptr;
    const int result = getpwuid_r(*id, &record, buffer, length, &found);
    if (result == 0 && found != nullptr) name = found->pw_name;
    return result;
  });
  if (error != 0 && !is_absence(error)) return refused(info, error);
  return buffer_of(info.Env(), name.data(), name.size());
}

Napi::Value group_name(const Napi::CallbackInfo& info) {
  const auto id = unsigned32(info[0]);
  if (!id) return refused(info, EINVAL);
  std::string name;
  const int error = with_buffer([&](char* buffer, size_t length) {
    group record;
    group* found = nullptr;
    const int result = getgrgid_r(*id, &record, buffer, length, &found);
    if (result == 0 && found != nullptr) name = found->gr_name;
    return result;
  });
  if (error != 0 && !is_absence(error)) return refused(info, error);
  return buffer_of(info.Env(), name.data(), name.size());
}

/** userId(name): the number, or ENOENT. */
Napi::Value user_id(const Napi::CallbackInfo& info) {
  const auto name = path_of(info[0]);
  if (!name) return refused(info, EINVAL);
  std::optional<uid_t> id;
  const int error = with_buffer([&](char* buffer, size_t length) {
    passwd record;
    passwd* found = nullptr;
    const int result = getpwnam_r(name->c_str(), &record, buffer, length, &found);
    if (result == 0 && found != nullptr) id = found->pw_uid;
    return result;
  });
  if (id) return Napi::Number::New(info.Env(), *id);
  return refused(info, error == 0 || is_absence(error) ? ENOENT : error);
}

Napi::Value group_id(const Napi::CallbackInfo& info) {
  const auto name = path_of(info[0]);
  if (!name) return refused(info, EINVAL);
  std::optional<gid_t> id;
  const int error = with_buffer([&](char* buffer, size_t length) {
    group record;
    group* found = nullptr;
    const int result = getgrnam_r(name->c_str(), &record, buffer, length, &found);
    if (result == 0 && found != nullptr) id = found->gr_gid;
    return result;
  });
  if (id) return Napi::Number::New(info.Env(), *id);
  return refused(info, error == 0 || is_absence(error) ? ENOENT : error);
}

}  // namespace

void export_owners(Napi::Env env, Napi::Object exports) {
  exports.Set("userName", Napi::Function::New<user_name>(env, "userName"));
  exports.Set("groupName", Napi::Function::New<group_name>(env, "groupName"));
  exports.Set("userId", Napi::Function::New<user_id>(env, "userId"));
  exports.Set("groupId", Napi::Function::New<group_id>(env, "groupId"));
}
