/** The door as JavaScript sees it: src/mount/door.ts has the list, with what each call means. */
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <vector>

#include "arguments.h"
#include "handle.h"
#include "mount.h"
#include "threads.h"

/** What its calls take, answer and do: raised with each change of that, here and in src/mount/door.ts. */
constexpr double kRevision = 2;

Napi::Value Door::ask(Napi::Env env, const std::function<void(Ticket)>& begin) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  questions_.emplace(++last_ticket_, deferred);
  keep_alive(env);
  begin(last_ticket_);
  return deferred.Promise();
}

void Door::add(Handle& handle) {
  handles_.insert(&handle);
  keep_alive(handle.Env());
}

void Door::remove(Handle& handle) {
  handles_.erase(&handle);
  keep_alive(handle.Env());
}

void Door::keep_alive(Napi::Env env) {
  if (questions_.empty() && handles_.empty()) {
    napi_unref_threadsafe_function(env, bell->function);
  } else {
    napi_ref_threadsafe_function(env, bell->function);
  }
}

/** Runs on JavaScript's thread, or with no environment when one that ends empties its queue. */
void Door::heard(napi_env raw_env, napi_value, void* context, void*) {
  if (raw_env == nullptr) return;
  const Napi::Env env(raw_env);
  const Napi::HandleScope scope(env);
  auto& door = *static_cast<Door*>(context);
  for (const auto& [ticket, result] : door.bell->collect()) {
    const auto found = door.questions_.find(ticket);
    if (found == door.questions_.end()) continue;
    found->second.Resolve(Napi::Number::New(env, -result));
    door.questions_.erase(found);
  }
  door.keep_alive(env);
  // A listener may end its session.
  const std::vector<Handle*> handles(door.handles_.begin(), door.handles_.end());
  for (Handle* handle : handles) {
    if (door.handles_.count(handle) > 0) handle->visit(env);
  }
}

void Door::left(void* data) {
  auto& door = *static_cast<Door*>(data);
  door.bell->leave();
  for (Handle* handle : door.handles_) handle->leave();
  napi_release_threadsafe_function(door.bell->function, napi_tsfn_release);
}

namespace {

/** A promise of what `work` returns on a thread of its own: 0 or an errno. */
template <typename Work>
Napi::Value on_thread(const Napi::CallbackInfo& info, Work work) {
  Door& door = Door::of(info.Env());
  return door.ask(info.Env(), [&](Ticket ticket) {
    const std::shared_ptr<Office> office = door.bell;
    const bool is_started =
        start_detached("shelfs-mount", [office, ticket, work] { office->post(ticket, work() == 0 ? 0 : errno); });
    if (!is_started) office->post(ticket, EAGAIN);
  });
}

Napi::Value open_device(const Napi::CallbackInfo& info) {
  const int device = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  return number(info, device < 0 ? -errno : device);
}

Napi::Value mount_path(const Napi::CallbackInfo& info) {
  const auto source = text_of(info[0]);
  const auto path = text_of(info[1]);
  const auto type = text_of(info[2]);
  const auto flags = whole(info[3], UINT32_MAX);
  const auto options = text_of(info[4]);
  if (!source || !path || !type || !flags || !options) return refused(info, EINVAL);
  return on_thread(info, [source = *source, path = *path, type = *type, flags = *flags, options = *options] {
    return mount(source.c_str(), path.c_str(), type.c_str(), flags, options.c_str());
  });
}

Napi::Value unmount_path(const Napi::CallbackInfo& info) {
  const auto path = text_of(info[0]);
  const auto flags = whole(info[1], INT32_MAX);
  if (!path || !flags) return refused(info, EINVAL);
  return on_thread(info, [path = *path, flags = *flags] { return umount2(path.c_str(), static_cast<int>(flags)); });
}

Napi::Value make_pair(const Napi::CallbackInfo& info) {
  const auto type = whole(info[0], INT32_MAX);
  if (!type) return refused(info, EINVAL);
  const auto sockets = socket_pair(static_cast<int>(*type));
  if (!sockets) return refused(info, errno);
  auto array = Napi::Array::New(info.Env(), 2);
  array.Set(0u, sockets->first);
  array.Set(1u, sockets->second);
  return array;
}

Napi::Value receive(const Napi::CallbackInfo& info) {
  const auto socket = descriptor(info[0]);
  return socket ? number(info, receive_file(*socket)) : refused(info, EINVAL);
}

Napi::Value close_file(const Napi::CallbackInfo& info) {
  const auto file = descriptor(info[0]);
  if (!file) return refused(info, EINVAL);
  return refused(info, close(*file) < 0 ? errno : 0);
}

Napi::Object init(Napi::Env env, Napi::Object exports) { return Door::init(env, exports); }

}  // namespace

Napi::Object Door::init(Napi::Env env, Napi::Object exports) {
  auto* door = new Door();
  env.SetInstanceData<Door>(door);
  door->handle_class_ = Napi::Persistent(Handle::define(env));
  napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "shelfs-fuse"), 1, 1, nullptr, nullptr,
                                  door, &Door::heard, &door->bell->function);
  napi_unref_threadsafe_function(env, door->bell->function);
  // Hooks run last in, first out: this one before the function's own and before JavaScript's memory is freed.
  napi_add_env_cleanup_hook(env, &Door::left, door);
  exports.Set("pageBytes", static_cast<double>(sysconf(_SC_PAGESIZE)));
  exports.Set("openDevice", Napi::Function::New<&open_device>(env, "openDevice"));
  exports.Set("mount", Napi::Function::New<&mount_path>(env, "mount"));
  exports.Set("unmount", Napi::Function::New<&unmount_path>(env, "unmount"));
  exports.Set("socketPair", Napi::Function::New<&make_pair>(env, "socketPair"));
  exports.Set("receiveFile", Napi::Function::New<&receive>(env, "receiveFile"));
  exports.Set("close", Napi::Function::New<&close_file>(env, "close"));
  exports.Set("start", Napi::Function::New<&Handle::start>(env, "start"));
  exports.Set("revision", kRevision);
  return exports;
}

NODE_API_MODULE(fuse, init)
