// The iSCSI target: carries commands from one initiator to the library and the answers back (RFC 7143).
//
// Commands of a unit are carried out one after the other; one that has to wait (control port, `delay`) holds up only its
// unit and can still be aborted. A later login replaces the session before it, and the library stays as it is.
#pragma once

#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <memory>

#include "connection.h"
#include "library.h"

class Target {
 public:
  explicit Target(Library &library) : library_(library) {}

  void accept(int socket);
  std::vector<int> sockets() const;
  // Takes what has arrived on all connections and carries out what is due.
  void serve();
  // When serve() is wanted next though nothing arrives: ms from now, -1 never.
  int waitMs() const;
  // Drops the initiator's connection.
  void disconnect();

 private:
  using Time = std::chrono::steady_clock::time_point;

  struct Task {
    Header header;
    Command command;
    size_t received = 0;     // bytes of command.dataOut that are there
    uint32_t transfers = 0;  // R2Ts sent
    std::optional<Time> due;

    uint32_t tag() const { return get32(&header[field::tag]); }
    uint64_t unit() const;
    uint32_t expectedBytes() const { return get32(&header[20]); }  // Expected Data Transfer Length
  };

  void handle(Connection &connection, const Pdu &pdu);
  void startSession(Connection &connection);
  void answerPing(const Pdu &pdu);
  void reject(const Pdu &pdu);
  void logOut(const Pdu &pdu);

  // task.cc
  void startCommand(const Pdu &pdu);
  void takeData(const Pdu &pdu);
  void askForData(Task &task);
  void carryOutDue();
  void carryOut(Task &task);
  void sendData(const Task &task, const Bytes &data, size_t bytes, uint32_t &dataPdus);
  void sendResponse(const Task &task, const Reply &reply, size_t bytes, uint32_t dataPdus);
  void dropTasks();
  void dropTasks(uint64_t unit);

  // task_management.cc
  void manage(const Pdu &pdu);
  bool abort(uint32_t tag);

  Library &library_;
  std::list<std::unique_ptr<Connection>> connections_;
  Connection *session_ = nullptr;  // the one that is logged in
  bool hadSession_ = false;
  std::map<uint32_t, Task> receiving_;         // by tag: tasks whose data are on their way
  std::map<uint64_t, std::deque<Task>> queue_; // by unit
};
