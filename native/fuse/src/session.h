/**
 * One connection to the kernel: the threads that read its requests, answer those that need no decision, and keep the others
 * for JavaScript. Nothing here knows JavaScript.
 *
 * Two threads read the device and never wait for anything else, so that no request stands behind another. What a reader cannot
 * answer from memory goes to the queue of JavaScript or into the line of the threads that read files. One more thread tells the
 * kernel what to forget: that may wait until a request is answered.
 *
 * Each request that wants an answer is in one place until it has it (`places_`); so an INTERRUPT finds it, and whoever ends
 * the session can fail what is left. The device is closed by JavaScript's thread, when no other is left that could use its number.
 */
#pragma once

#include <errno.h>
#include <sys/uio.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "listing.h"
#include "office.h"
#include "page-pipe.h"
#include "queue.h"
#include "request.h"
#include "threads.h"

/** A file from which READs of a handle are answered. JavaScript closes it once the last of us let go. */
class Served {
 public:
  /**
   * @param size what was promised, in bytes: who asks for less gets all of it, or an error
   * @param may_map whether its pages may go to the kernel as they are
   */
  Served(std::shared_ptr<Office> office, int file, uint64_t size, bool may_map);
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  ~Served();

  /** Whether its pages may go as they are, and no disk has to be waited for. */
  bool is_in_memory(uint64_t offset, size_t length) const;

  const int file;
  const uint64_t size;
  Ticket let_go = 0;    // answered when nobody reads it any more

 private:
  const std::shared_ptr<Office> office_;
  void* map_;  // all of it, or none; never touched: by it the kernel is asked what lies in memory
};

/** Beyond what any agreement allows. */
constexpr uint32_t kReadBytesMax = 64 << 20;

/** The connection is gone: whoever reads the device hears of it. */
inline bool is_gone(int error) {
  return error == ENODEV || error == ECONNABORTED || error == EPERM || error == EPIPE || error == ECONNRESET ||
         error == ENOTCONN;
}

/** What INIT agreed on, in the kernel's own structures. */
struct Agreement {
  std::string request;
  std::string reply;
  bool may_back;  // the kernel takes files to read by itself
};

/** An answer to a request that has not come yet. */
struct Ahead {
  uint32_t opcode;
  uint64_t offset;
  std::string body;
};

class Session {
 public:
  /** @param offer what is wanted; the kernel gets what it knows of it. Null when there can be no threads (EAGAIN). */
  static std::shared_ptr<Session> start(std::shared_ptr<Office> office, int device, const InitOut& offer);

  Session(std::shared_ptr<Office> office, int device, const InitOut& offer);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /** Sends one whole reply. 0, or an errno when the kernel did not take it; that its caller is gone is none. */
  int reply(const char* reply, size_t length);
  /**
   * All of the bytes, or EIO. The file must not be closed before its handle is released or the session has ended.
   */
  void reply_from_file(uint64_t unique, int file, uint64_t offset, uint32_t length);
  /** @param size of what the handle reads, in bytes: where the file has less, it is EIO. 0, or EBADF, EEXIST. */
  int serve(uint64_t handle, int file, uint64_t size);
  /** Answers the ticket once nobody reads the file any more. */
  void stop_serving(uint64_t handle, Ticket let_go);
  /** Answers a listing's request that will come, if it takes so much; JavaScript is told of it. */
  void answer_ahead(uint64_t handle, Ahead ahead);
  /** All requests of the handle's listing are answered from it; JavaScript is told when its end is sent. */
  void serve_listing(uint64_t handle, std::shared_ptr<const Listing> listing);
  void drop_ahead(uint64_t handle);
  /** The backing id, or an errno below zero. */
  int open_backing(int file);
  int close_backing(uint32_t id);
  /** Dropped when too many wait: what the kernel knows times out as well. */
  void notify(std::string notification);

  /** Requests for JavaScript, empty when there is none: then the office is rung for the next one. */
  std::string take();
  /** Fails what is left of these requests. */
  void fail(const std::string& requests);
  std::optional<Agreement> take_agreement();
  /** Errno of the device that ended it, 0 for an end as meant; only when no thread is left but JavaScript's. */
  std::optional<int> ended();

  /** From now on everything fails, also what waits. */
  void refuse();
  /** Ends all threads; `ended` says when. */
  void stop();
  /** Waits for the threads to end and closes the device. */
  void close();
  /** Stops, and closes unless a thread is held up by a disk: then the threads end when they can, and the last one closes. */
  void abandon();

 private:
  enum class Place { kQueue, kJavaScript, kLine, kReading };
  /** By which a thread that reads the device answers READs. */
  struct Means {
    std::vector<char> buffer;
    PagePipe pipe;
  };
  /** A READ for a thread. */
  struct Job {
    uint64_t unique;
    std::shared_ptr<Served> served;  // or none
    int file;
    uint64_t offset;
    uint32_t length;
  };

  void read_device();
  void read_files();
  void send_notifications();
  /** A thread of ours ends. */
  void leave(bool is_reader);
  /** False when the threads are to end. */
  bool wait_for_request();
  void finish(int error);

  void handle(const char* request, size_t length, Means& means);
  void init(const char* request, size_t length);
  void pass(const char* request, size_t length);
  void read(const char* request, size_t length, Means& means);
  void forget(const char* request, size_t length);
  void interrupt(const char* request, size_t length);
  /** What was made ahead for the request, if anything; JavaScript is told of it then. With the lock held. */
  std::optional<std::string> take_ahead(const char* request, size_t length);
  /** False where the request is none of a listing that is served. */
  bool list(const char* request, size_t length);
  /** JavaScript is told that it was answered. With the lock held. */
  void enqueue_answered(const char* request, size_t length);
  /** With the lock held. */
  void enqueue(const char* request, size_t length, bool is_urgent);
  void begin_job(Job job, Place from);

  int send(uint64_t unique, int error, const void* body = nullptr, size_t length = 0);
  int write(const iovec* pieces, int count);

  const std::shared_ptr<Office> office_;
  const int device_;
  const InitOut offer_;
  int leave_fd_;  // readable when readers are to end
  Threads threads_;
  std::atomic<bool> is_leaving_ = false;
  const bool is_kernel_;  // and no socket in its place, to which a reply would go in pieces
  bool is_started_ = false;  // the device is ours
  bool is_closed_ = false;   // JavaScript's own

  std::mutex mutex_;  // guards what follows
  std::condition_variable work_;
  std::condition_variable news_;
  std::condition_variable left_;
  RequestQueue queue_;
  std::unordered_map<uint64_t, Place> places_;
  std::unordered_map<uint64_t, std::shared_ptr<Served>> served_;
  std::unordered_map<uint64_t, Ahead> ahead_;
  std::unordered_map<uint64_t, std::shared_ptr<const Listing>> listings_;
  std::deque<Job> line_;
  std::deque<std::string> notifications_;
  std::optional<Agreement> agreement_;
  bool is_agreed_ = false;
  bool is_rung_ = false;
  bool is_refusing_ = false;
  bool is_stopping_ = false;
  bool is_finished_ = false;
  int error_ = 0;
  int helpers_ = 0;
  int alive_ = 0;
};
