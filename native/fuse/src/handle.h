/** A session as JavaScript sees it: src/mount/door.ts has the list of its calls, with what each means. */
#pragma once

#include <napi.h>

#include <memory>
#include <optional>

#include "door.h"
#include "mount.h"
#include "session.h"

class Handle final : public Napi::ObjectWrap<Handle> {
 public:
  static Napi::Function define(Napi::Env env);
  /** start(device, offer, listener): a handle, or an errno below zero. */
  static Napi::Value start(const Napi::CallbackInfo& info);

  explicit Handle(const Napi::CallbackInfo& info) : ObjectWrap(info) {}
  ~Handle() override;

  /** Tells the listener what threads have brought. On JavaScript's thread. */
  void visit(Napi::Env env);
  /** The environment ends: the mount is taken away, and no thread comes back to JavaScript. */
  void leave();

 private:
  Napi::Value reply(const Napi::CallbackInfo& info);
  Napi::Value reply_from_file(const Napi::CallbackInfo& info);
  Napi::Value serve(const Napi::CallbackInfo& info);
  Napi::Value stop_serving(const Napi::CallbackInfo& info);
  Napi::Value answer_ahead(const Napi::CallbackInfo& info);
  Napi::Value serve_listing(const Napi::CallbackInfo& info);
  Napi::Value drop_ahead(const Napi::CallbackInfo& info);
  Napi::Value open_backing(const Napi::CallbackInfo& info);
  Napi::Value close_backing(const Napi::CallbackInfo& info);
  Napi::Value forget_name(const Napi::CallbackInfo& info);
  Napi::Value forget_node(const Napi::CallbackInfo& info);
  Napi::Value drain(const Napi::CallbackInfo& info);
  Napi::Value guard(const Napi::CallbackInfo& info);
  Napi::Value refuse(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);
  Napi::Value abandon(const Napi::CallbackInfo& info);

  void deliver(Napi::Env env);
  void end(Napi::Env env, int error);
  /** False when the listener threw, which is an uncaught exception by then. */
  bool call(Napi::Env env, const char* name, const std::initializer_list<napi_value>& arguments);

  std::shared_ptr<Session> session_;  // empty when JavaScript called the constructor itself
  Napi::ObjectReference listener_;
  Door* door_ = nullptr;
  Guard guard_;
  bool is_agreed_ = false;  // the listener knows
  bool is_ended_ = false;
};
