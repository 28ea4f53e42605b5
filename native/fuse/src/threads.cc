#include "threads.h"

#include <signal.h>

#include <memory>
#include <utility>

namespace {

struct Beginning {
  const char* name;
  std::function<void()> run;
};

void* begin(void* data) {
  const std::unique_ptr<Beginning> beginning(static_cast<Beginning*>(data));
  pthread_setname_np(pthread_self(), beginning->name);
  beginning->run();
  return nullptr;
}

bool create(pthread_t* thread, const pthread_attr_t* attributes, const char* name, std::function<void()> run) {
  auto* beginning = new Beginning{name, std::move(run)};
  // A thread starts with its maker's signal mask: block all for it, so that signals go to JavaScript's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(thread, attributes, begin, beginning);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) delete beginning;
  return error == 0;
}

}  // namespace

bool Threads::start(const char* name, std::function<void()> run) {
  pthread_t thread;
  if (!create(&thread, nullptr, name, std::move(run))) return false;
  // Before anybody looks; it may itself be late to say so.
  pthread_setname_np(thread, name);
  threads_.push_back(thread);
  return true;
}

Threads::~Threads() {
  for (const pthread_t thread : threads_) pthread_detach(thread);
}

void Threads::join() {
  for (const pthread_t thread : std::exchange(threads_, {})) pthread_join(thread, nullptr);
}

bool start_detached(const char* name, std::function<void()> work) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const bool is_started = create(&thread, &attributes, name, std::move(work));
  pthread_attr_destroy(&attributes);
  return is_started;
}
