/**
 * The door as JavaScript sees it: open(path, options), and handles with execute, drop and close.
 *
 * It takes arguments apart, keeps buffers alive and settles promises. Wrong arguments are answered with EINVAL: what to
 * think of an errno is decided in src/device/native.ts, as is everything else.
 */
#include <errno.h>
#include <napi.h>
#include <scsi/sg.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "device.h"

namespace {

/** What its calls take, answer and do: raised with each change of that, here and in src/device/native.ts. */
constexpr double kRevision = 1;

class Handle;

/** Carries answers from the devices' threads to the thread of one JavaScript environment. */
class Mail final : public Office {
 public:
  napi_threadsafe_function function = nullptr;

 protected:
  void deliver(const Answer& answer) override {
    auto* copy = new Answer(answer);
    if (napi_call_threadsafe_function(function, copy, napi_tsfn_nonblocking) != napi_ok) delete copy;
  }
  void left() override {
    napi_release_threadsafe_function(function, napi_tsfn_release);
    function = nullptr;
  }
};

/** A promise not settled yet, and what must live until it is. */
struct Pending {
  enum class Kind { kOpen, kExecute, kClose };
  Kind kind;
  Napi::Promise::Deferred deferred;
  Handle* handle = nullptr;        // referenced, but for kOpen
  std::shared_ptr<Device> device;  // of kOpen
  Napi::ObjectReference buffer;    // of kExecute
};

/** What the addon knows in one JavaScript environment. */
class Door {
 public:
  static Napi::Object init(Napi::Env env, Napi::Object exports);
  ~Door() {
    // Devices that opened too late for anybody to get their handle.
    for (auto& [ticket, pending] : pending_) {
      if (pending.device) pending.device->close(0);
    }
  }
  static Door& of(Napi::Env env) { return *env.GetInstanceData<Door>(); }

  /** Files a promise; the event loop stays alive while there is one. */
  Ticket add(Napi::Env env, Pending pending);
  /** Settles without a thread's word. */
  void settle(Napi::Env env, Ticket ticket, int error);

  std::shared_ptr<Mail> mail = std::make_shared<Mail>();
  std::shared_ptr<Device> handed_over;  // to the constructor of Handle

 private:
  static Napi::Value open(const Napi::CallbackInfo& info);
  static void answered(napi_env env, napi_value callback, void* context, void* data);
  void settle(Napi::Env env, const Answer& answer);
  Napi::Value reply(Napi::Env env, const Pending& pending, const Answer& answer);

  std::unordered_map<Ticket, Pending> pending_;
  Ticket last_ticket_ = 0;
  Napi::FunctionReference handle_class_;
};

class Handle final : public Napi::ObjectWrap<Handle> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "ScsiHandle",
                       {InstanceMethod<&Handle::execute>("execute"), InstanceMethod<&Handle::drop>("drop"),
                        InstanceMethod<&Handle::close>("close")});
  }

  explicit Handle(const Napi::CallbackInfo& info)
      : ObjectWrap(info), device_(std::move(Door::of(info.Env()).handed_over)) {}

  /** Also when collected unclosed, and at the end of the environment. */
  ~Handle() override {
    if (device_) device_->close(0);
  }

 private:
  Napi::Value execute(const Napi::CallbackInfo& info);
  Napi::Value drop(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<Device> device_;  // empty when JavaScript called the constructor itself
  Napi::ObjectReference closing_;   // the promise of the first close
};

Napi::Object errno_object(Napi::Env env, int error) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("errno", error);
  return object;
}

Napi::Value resolved(Napi::Env env, Napi::Value value) {
  auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Resolve(value);
  return deferred.Promise();
}

/** A whole number from 0 to `max`. */
std::optional<uint64_t> whole(Napi::Value value, double max) {
  if (!value.IsNumber()) return std::nullopt;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= max) || number != std::floor(number)) return std::nullopt;
  return static_cast<uint64_t>(number);
}

struct Bytes {
  void* data;
  size_t length;
};

/** The bytes of a Uint8Array, whatever kind of buffer is behind it, as long as it is now. */
std::optional<Bytes> bytes_of(Napi::Value value) {
  napi_typedarray_type type;
  Bytes bytes;
  if (!value.IsTypedArray()) return std::nullopt;
  if (napi_get_typedarray_info(value.Env(), value, &type, &bytes.length, &bytes.data, nullptr, nullptr) != napi_ok) {
    return std::nullopt;
  }
  if (type != napi_uint8_array) return std::nullopt;
  return bytes;
}

bool is_set(Napi::Object options, const char* name) {
  const Napi::Value value = options.Get(name);
  return value.IsBoolean() && value.As<Napi::Boolean>().Value();
}

/** False where the arguments of execute make no command. */
bool read_command(const Napi::CallbackInfo& info, Command& command) {
  const auto cdb = bytes_of(info[0]);
  if (!cdb || cdb->length == 0 || cdb->length > sizeof command.cdb) return false;
  std::memcpy(command.cdb, cdb->data, cdb->length);
  command.cdb_length = static_cast<uint8_t>(cdb->length);

  const auto direction = whole(info[1], 2);
  const auto timeout_ms = whole(info[3], UINT32_MAX);
  if (!direction || !timeout_ms) return false;
  command.timeout_ms = static_cast<uint32_t>(*timeout_ms);

  constexpr double max_safe_integer = 9007199254740991;
  const auto number = info[4].IsUndefined() ? 0 : whole(info[4], max_safe_integer);
  if (!number) return false;
  command.number = *number;

  command.direction = SG_DXFER_NONE;
  if (info[2].IsUndefined()) return true;
  const auto buffer = bytes_of(info[2]);
  if (!buffer || buffer->length > UINT32_MAX) return false;
  if (buffer->length == 0) return true;
  if (*direction == 0) return false;
  command.direction = *direction == 1 ? SG_DXFER_FROM_DEV : SG_DXFER_TO_DEV;
  command.buffer = buffer->data;
  command.buffer_bytes = static_cast<uint32_t>(buffer->length);
  return true;
}

Napi::Value Handle::execute(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Command command = {};
  if (!read_command(info, command)) return resolved(env, errno_object(env, EINVAL));

  Door& door = Door::of(env);
  Pending pending{Pending::Kind::kExecute, Napi::Promise::Deferred::New(env), this, nullptr, {}};
  const Napi::Value promise = pending.deferred.Promise();
  if (command.buffer_bytes > 0) pending.buffer = Napi::Persistent(info[2].As<Napi::Object>());
  Ref();
  command.ticket = door.add(env, std::move(pending));
  if (!device_ || !device_->enqueue(command)) door.settle(env, command.ticket, ECANCELED);
  return promise;
}

Napi::Value Handle::drop(const Napi::CallbackInfo& info) {
  constexpr double max_safe_integer = 9007199254740991;
  const auto number = whole(info[0], max_safe_integer);
  const Ticket ticket = number && device_ ? device_->drop(*number) : 0;
  if (ticket != 0) Door::of(info.Env()).settle(info.Env(), ticket, ECANCELED);
  return Napi::Boolean::New(info.Env(), ticket != 0);
}

Napi::Value Handle::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!closing_.IsEmpty()) return closing_.Value();
  if (!device_) return resolved(env, errno_object(env, 0));

  Door& door = Door::of(env);
  Pending pending{Pending::Kind::kClose, Napi::Promise::Deferred::New(env), this, nullptr, {}};
  const Napi::Promise promise = pending.deferred.Promise();
  closing_ = Napi::Persistent(promise.As<Napi::Object>());
  Ref();
  const Ticket closed = door.add(env, std::move(pending));
  for (const Ticket unsent : device_->close(closed)) door.settle(env, unsent, ECANCELED);
  return promise;
}

Ticket Door::add(Napi::Env env, Pending pending) {
  if (pending_.empty() && !mail->gone) napi_ref_threadsafe_function(env, mail->function);
  pending_.emplace(++last_ticket_, std::move(pending));
  return last_ticket_;
}

void Door::settle(Napi::Env env, Ticket ticket, int error) {
  Answer answer = {};
  answer.ticket = ticket;
  answer.error = error;
  settle(env, answer);
}

void Door::settle(Napi::Env env, const Answer& answer) {
  const auto found = pending_.find(answer.ticket);
  if (found == pending_.end()) return;
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  if (pending_.empty() && !mail->gone) napi_unref_threadsafe_function(env, mail->function);
  pending.deferred.Resolve(reply(env, pending, answer));
  if (pending.handle != nullptr) pending.handle->Unref();
}

Napi::Value Door::reply(Napi::Env env, const Pending& pending, const Answer& answer) {
  if (answer.error != 0 || pending.kind == Pending::Kind::kClose) {
    Napi::Object object = errno_object(env, answer.error);
    if (answer.step != nullptr) object.Set("step", answer.step);
    return object;
  }
  Napi::Object object = Napi::Object::New(env);
  if (pending.kind == Pending::Kind::kOpen) {
    handed_over = pending.device;
    const Napi::Object handle = handle_class_.New({});
    handed_over.reset();
    // An environment that is being ended makes no objects any more, or drops them half made: nobody would close it.
    if (handle.IsEmpty()) {
      pending.device->close(0);
    } else {
      object.Set("handle", handle);
    }
    return object;
  }
  object.Set("status", answer.status);
  object.Set("hostStatus", answer.host_status);
  object.Set("driverStatus", answer.driver_status);
  Napi::Uint8Array sense = Napi::Uint8Array::New(env, answer.sense_length);
  if (answer.sense_length > 0) std::memcpy(sense.Data(), answer.sense, answer.sense_length);
  object.Set("sense", sense);
  object.Set("residualBytes", answer.residual_bytes);
  return object;
}

/** Runs on JavaScript's thread, or with no environment when one that ends empties its queue. */
void Door::answered(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<Answer> answer(static_cast<Answer*>(data));
  if (env != nullptr) static_cast<Door*>(context)->settle(env, *answer);
}

Napi::Value Door::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Door& door = of(env);
  OpenOptions options = {};
  bool valid = info[0].IsString() && (info[1].IsUndefined() || info[1].IsObject());
  if (valid) {
    options.path = info[0].As<Napi::String>().Utf8Value();
    valid = options.path.find('\0') == std::string::npos;
  }
  if (valid && info[1].IsObject()) {
    const auto given = info[1].As<Napi::Object>();
    options.read_only = is_set(given, "readOnly");
    options.exclusive = is_set(given, "exclusive");
    options.lock = is_set(given, "lock");
    options.create = is_set(given, "create");
    const Napi::Value reserved_bytes = given.Get("reservedBytes");
    const auto bytes = reserved_bytes.IsUndefined() ? 0 : whole(reserved_bytes, INT32_MAX);
    options.reserved_bytes = static_cast<int>(bytes.value_or(0));
    // To open(2), exclusive together with create means something else.
    valid = bytes.has_value() && !(options.exclusive && options.create);
  }

  Pending pending{Pending::Kind::kOpen, Napi::Promise::Deferred::New(env), nullptr, nullptr, {}};
  const Napi::Value promise = pending.deferred.Promise();
  const Ticket ticket = door.add(env, std::move(pending));
  Answer refused = {};
  refused.ticket = ticket;
  refused.step = "open";
  if (!valid) {
    refused.error = EINVAL;
    door.settle(env, refused);
    return promise;
  }
  // The thread may answer at once, but it is heard only after this function.
  auto device = Device::start(door.mail, std::move(options), ticket);
  if (!device) {
    refused.error = EAGAIN;
    door.settle(env, refused);
    return promise;
  }
  door.pending_.at(ticket).device = std::move(device);
  return promise;
}

Napi::Object Door::init(Napi::Env env, Napi::Object exports) {
  auto* door = new Door();
  env.SetInstanceData<Door>(door);
  door->handle_class_ = Napi::Persistent(Handle::define(env));
  napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "shelfs-scsi"), 0, 1, nullptr, nullptr,
                                  door, &Door::answered, &door->mail->function);
  napi_unref_threadsafe_function(env, door->mail->function);
  // Hooks run last in, first out: this one before the function's own and before JavaScript's memory is freed.
  napi_add_env_cleanup_hook(env, [](void* mail) { static_cast<Mail*>(mail)->leave(); }, door->mail.get());
  exports.Set("open", Napi::Function::New<&Door::open>(env, "open"));
  exports.Set("revision", kRevision);
  return exports;
}

Napi::Object init(Napi::Env env, Napi::Object exports) { return Door::init(env, exports); }

}  // namespace

NODE_API_MODULE(scsi, init)
