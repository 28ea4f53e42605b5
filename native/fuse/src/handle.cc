#include "handle.h"

#include <errno.h>
#include <fcntl.h>

#include <utility>

#include "arguments.h"

namespace {

/** So many, then timers and other sources of events have their turn. */
constexpr int kRoundsMax = 4;

constexpr size_t kNameBytesMax = 255;

template <typename T>
std::string bytes_of_struct(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

/** Whole replies back to back. */
bool are_replies(const Bytes& bytes) {
  for (size_t at = 0; at < bytes.length;) {
    if (bytes.length - at < sizeof(OutHeader)) return false;
    const auto header = copied<OutHeader>(bytes.data + at);
    if (header.length < sizeof header || header.length > bytes.length - at) return false;
    at += header.length;
  }
  return true;
}

}  // namespace

Napi::Function Handle::define(Napi::Env env) {
  return DefineClass(
      env, "FuseHandle",
      {InstanceMethod<&Handle::reply>("reply"), InstanceMethod<&Handle::reply_from_file>("replyFromFile"),
       InstanceMethod<&Handle::serve>("serve"), InstanceMethod<&Handle::stop_serving>("stopServing"),
       InstanceMethod<&Handle::answer_ahead>("answerAhead"), InstanceMethod<&Handle::drop_ahead>("dropAhead"),
       InstanceMethod<&Handle::serve_listing>("serveListing"),
       InstanceMethod<&Handle::open_backing>("openBacking"), InstanceMethod<&Handle::close_backing>("closeBacking"),
       InstanceMethod<&Handle::forget_name>("forgetName"), InstanceMethod<&Handle::forget_node>("forgetNode"),
       InstanceMethod<&Handle::drain>("drain"), InstanceMethod<&Handle::guard>("guard"),
       InstanceMethod<&Handle::refuse>("refuse"), InstanceMethod<&Handle::stop>("stop"),
       InstanceMethod<&Handle::abandon>("abandon")});
}

Napi::Value Handle::start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto device = descriptor(info[0]);
  const auto offer = bytes_of(info[1]);
  if (!device || !offer || offer->length != sizeof(InitOut) || !info[2].IsObject()) return refused(info, EINVAL);
  if (fcntl(*device, F_GETFL) < 0) return refused(info, errno);
  Door& door = Door::of(env);
  const Napi::Object object = door.handle_class_.New({});
  // An environment that is being ended makes no objects any more.
  if (object.IsEmpty()) return refused(info, ECANCELED);
  Handle* handle = Unwrap(object);
  handle->session_ = Session::start(door.bell, *device, copied<InitOut>(offer->data));
  if (!handle->session_) return refused(info, EAGAIN);
  handle->listener_ = Napi::Persistent(info[2].As<Napi::Object>());
  handle->door_ = &door;
  handle->Ref();
  door.add(*handle);
  return object;
}

Handle::~Handle() {
  if (session_) leave();
}

void Handle::leave() {
  if (std::exchange(is_ended_, true)) return;
  session_->refuse();
  take_away(guard_);
  session_->abandon();
}

bool Handle::call(Napi::Env env, const char* name, const std::initializer_list<napi_value>& arguments) {
  const Napi::Object listener = listener_.Value();
  const Napi::Value function = listener.Get(name);
  if (!env.IsExceptionPending() && function.IsFunction()) function.As<Napi::Function>().Call(listener, arguments);
  // Left alone it would be a warning at most: nobody in JavaScript called us.
  napi_value error;
  bool has_thrown = false;
  napi_is_exception_pending(env, &has_thrown);
  if (!has_thrown) return true;
  napi_get_and_clear_last_exception(env, &error);
  napi_fatal_exception(env, error);
  return false;
}

void Handle::visit(Napi::Env env) {
  if (is_ended_) return;
  if (const auto agreement = session_->take_agreement()) {
    const auto buffer = [&](const std::string& bytes) { return Napi::Buffer<char>::Copy(env, bytes.data(), bytes.size()); };
    const Napi::Value may_back = Napi::Boolean::New(env, agreement->may_back);
    is_agreed_ = true;
    if (!call(env, "agreed", {buffer(agreement->request), buffer(agreement->reply), may_back})) return door_->bell->ring();
  }
  if (const auto error = session_->ended()) return end(env, *error);
  // What came before the agreement is told after it.
  if (is_agreed_) deliver(env);
}

void Handle::deliver(Napi::Env env) {
  for (int round = 0; round < kRoundsMax; ++round) {
    const std::string requests = session_->take();
    if (requests.empty()) return;
    const Napi::HandleScope scope(env);
    const auto buffer = Napi::Buffer<char>::Copy(env, requests.data(), requests.size());
    if (!buffer.IsEmpty() && call(env, "requests", {buffer})) continue;
    // Whoever asked must not wait for what a bug dropped.
    if (!is_ended_) session_->fail(requests);
    return door_->bell->ring();
  }
  // Not the bell: what it is rung for is heard before any timer.
  if (!call(env, "more", {})) door_->bell->ring();
}

void Handle::end(Napi::Env env, int error) {
  is_ended_ = true;
  session_->close();
  door_->remove(*this);
  Unref();
  call(env, "ended", {Napi::Number::New(env, error)});
}

Napi::Value Handle::drain(const Napi::CallbackInfo& info) {
  if (session_ && !is_ended_) deliver(info.Env());
  return info.Env().Undefined();
}

Napi::Value Handle::reply(const Napi::CallbackInfo& info) {
  const auto bytes = bytes_of(info[0]);
  if (!session_ || !bytes || !are_replies(*bytes)) return refused(info, EINVAL);
  int error = 0;
  for (size_t at = 0; at < bytes->length;) {
    const size_t length = copied<OutHeader>(bytes->data + at).length;
    if (const int failed = session_->reply(bytes->data + at, length); failed != 0) error = failed;
    at += length;
  }
  return refused(info, error);
}

Napi::Value Handle::reply_from_file(const Napi::CallbackInfo& info) {
  const auto unique = safe_integer(info[0]);
  const auto file = descriptor(info[1]);
  const auto offset = safe_integer(info[2]);
  const auto length = whole(info[3], UINT32_MAX);
  if (!session_ || !unique || !file || !offset || !length) return refused(info, EINVAL);
  session_->reply_from_file(*unique, *file, *offset, static_cast<uint32_t>(*length));
  return refused(info, 0);
}

Napi::Value Handle::serve(const Napi::CallbackInfo& info) {
  const auto handle = safe_integer(info[0]);
  const auto file = descriptor(info[1]);
  const auto size = safe_integer(info[2]);
  if (!session_ || !handle || !file || !size) return refused(info, EINVAL);
  return refused(info, session_->serve(*handle, *file, *size));
}

Napi::Value Handle::stop_serving(const Napi::CallbackInfo& info) {
  const auto handle = safe_integer(info[0]);
  if (!session_ || !handle) return refused(info, EINVAL);
  return Door::of(info.Env()).ask(info.Env(), [&](Ticket ticket) { session_->stop_serving(*handle, ticket); });
}

Napi::Value Handle::answer_ahead(const Napi::CallbackInfo& info) {
  const auto opcode = whole(info[0], UINT32_MAX);
  const auto handle = safe_integer(info[1]);
  const auto offset = safe_integer(info[2]);
  const auto body = bytes_of(info[3]);
  if (!session_ || !opcode || !handle || !offset || !body) return refused(info, EINVAL);
  session_->answer_ahead(*handle, {static_cast<uint32_t>(*opcode), *offset, std::string(body->data, body->length)});
  return refused(info, 0);
}

Napi::Value Handle::serve_listing(const Napi::CallbackInfo& info) {
  const auto handle = safe_integer(info[0]);
  const auto first = bytes_of(info[1]);
  const auto rest = bytes_of(info[2]);
  if (!session_ || !handle || !first || !rest) return refused(info, EINVAL);
  std::string entries;
  entries.reserve(first->length + rest->length);
  entries.append(first->data, first->length).append(rest->data, rest->length);
  auto listing = Listing::of(std::move(entries));
  if (!listing) return refused(info, EINVAL);
  session_->serve_listing(*handle, std::move(listing));
  return refused(info, 0);
}

Napi::Value Handle::drop_ahead(const Napi::CallbackInfo& info) {
  const auto handle = safe_integer(info[0]);
  if (!session_ || !handle) return refused(info, EINVAL);
  session_->drop_ahead(*handle);
  return refused(info, 0);
}

Napi::Value Handle::open_backing(const Napi::CallbackInfo& info) {
  const auto file = descriptor(info[0]);
  if (!session_ || !file) return refused(info, EINVAL);
  return number(info, session_->open_backing(*file));
}

Napi::Value Handle::close_backing(const Napi::CallbackInfo& info) {
  const auto id = whole(info[0], INT32_MAX);
  if (!session_ || !id) return refused(info, EINVAL);
  return number(info, session_->close_backing(static_cast<uint32_t>(*id)));
}

Napi::Value Handle::forget_name(const Napi::CallbackInfo& info) {
  const auto parent = safe_integer(info[0]);
  const auto name = text_of(info[1]);
  if (!session_ || !parent || !name || name->empty() || name->size() > kNameBytesMax) return refused(info, EINVAL);
  const InvalidateEntryOut body = {*parent, static_cast<uint32_t>(name->size()), 0};
  const auto length = static_cast<uint32_t>(sizeof(OutHeader) + sizeof body + name->size() + 1);
  const OutHeader header = {length, kNotifyInvalidateEntry, 0};
  session_->notify(bytes_of_struct(header) + bytes_of_struct(body) + *name + '\0');
  return refused(info, 0);
}

Napi::Value Handle::forget_node(const Napi::CallbackInfo& info) {
  const auto node = safe_integer(info[0]);
  if (!session_ || !node) return refused(info, EINVAL);
  // From offset 0, length 0: all its pages.
  const InvalidateNodeOut body = {*node, 0, 0};
  const OutHeader header = {sizeof header + sizeof body, kNotifyInvalidateNode, 0};
  session_->notify(bytes_of_struct(header) + bytes_of_struct(body));
  return refused(info, 0);
}

Napi::Value Handle::guard(const Napi::CallbackInfo& info) {
  auto line = text_of(info[0]);
  auto path = text_of(info[1]);
  auto helper = texts_of(info[2]);
  if (!session_ || !line || !path || !helper) return refused(info, EINVAL);
  guard_ = {std::move(*line), std::move(*path), std::move(*helper)};
  return refused(info, 0);
}

Napi::Value Handle::refuse(const Napi::CallbackInfo& info) {
  if (!session_) return refused(info, EINVAL);
  if (!is_ended_) session_->refuse();
  return refused(info, 0);
}

Napi::Value Handle::abandon(const Napi::CallbackInfo& info) {
  // What somebody else aborted may have ended, and be mounted still.
  if (is_ended_) take_away(guard_);
  if (session_) leave();
  return info.Env().Undefined();
}

Napi::Value Handle::stop(const Napi::CallbackInfo& info) {
  if (!session_) return refused(info, EINVAL);
  if (!is_ended_) session_->stop();
  return refused(info, 0);
}
