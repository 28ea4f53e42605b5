/** What the addon knows in one JavaScript environment: its sessions, and the questions that threads have not answered yet. */
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <set>
#include <unordered_map>

#include "office.h"

class Handle;

/** Rings JavaScript's thread. */
class Bell final : public Office {
 public:
  napi_threadsafe_function function = nullptr;

 protected:
  // One ring that was not heard yet is as good as many: a full queue is no failure.
  void rung() override { napi_call_threadsafe_function(function, nullptr, napi_tsfn_nonblocking); }
};

class Door {
 public:
  static Napi::Object init(Napi::Env env, Napi::Object exports);
  static Door& of(Napi::Env env) { return *env.GetInstanceData<Door>(); }

  /** A promise of the number that is posted for the ticket. The event loop stays alive while there is one. */
  Napi::Value ask(Napi::Env env, const std::function<void(Ticket)>& begin);
  /** The event loop stays alive while there is one. */
  void add(Handle& handle);
  void remove(Handle& handle);

  const std::shared_ptr<Bell> bell = std::make_shared<Bell>();

 private:
  static void heard(napi_env env, napi_value callback, void* context, void* data);
  static void left(void* door);
  void keep_alive(Napi::Env env);

  std::unordered_map<Ticket, Napi::Promise::Deferred> questions_;
  Ticket last_ticket_ = 0;
  std::set<Handle*> handles_;
  Napi::FunctionReference handle_class_;
  friend class Handle;
};
