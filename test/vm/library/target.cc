#include "target.h"

#include <algorithm>

#include "login.h"

namespace {

constexpr size_t connectionsMax = 8;

// Initiator opcodes.
constexpr uint8_t nopOut = 0x00, scsiCommand = 0x01, taskManagement = 0x02, loginRequest = 0x03, dataOut = 0x05,
                  logoutRequest = 0x06;
// Target opcodes.
constexpr uint8_t nopIn = 0x20, logoutResponse = 0x26, rejection = 0x3f;

}  // namespace

void Target::accept(int socket) {
  // Room is made by dropping the oldest that never logged in; the session stays.
  if (connections_.size() >= connectionsMax) {
    connections_.erase(std::find_if(connections_.begin(), connections_.end(),
                                    [this](const auto &connection) { return connection.get() != session_; }));
  }
  connections_.push_back(std::make_unique<Connection>(socket));
}

std::vector<int> Target::sockets() const {
  std::vector<int> all;
  for (const auto &connection : connections_) all.push_back(connection->socket());
  return all;
}

void Target::disconnect() {
  if (session_) session_->close();
}

void Target::serve() {
  for (const auto &connection : connections_) {
    while (!connection->isClosed()) {
      const std::optional<Pdu> pdu = connection->receive();
      if (!pdu) break;
      handle(*connection, *pdu);
      carryOutDue();
    }
  }
  carryOutDue();
  if (session_ && session_->isClosed()) {
    session_ = nullptr;
    dropTasks();
  }
  connections_.remove_if([](const auto &connection) { return connection->isClosed(); });
}

void Target::handle(Connection &connection, const Pdu &pdu) {
  const uint8_t operation = pdu.operation();
  if (operation == loginRequest && !connection.isLoggedIn) {
    if (answerLogin(connection, pdu)) startSession(connection);
    return;
  }
  if (&connection != session_ || operation == loginRequest) {
    connection.close();
    return;
  }
  if (!pdu.isImmediate() && operation != dataOut) connection.expectedCmdSn = pdu.get(field::cmdSn) + 1;
  switch (operation) {
    case nopOut: answerPing(pdu); break;
    case scsiCommand: startCommand(pdu); break;
    case taskManagement: manage(pdu); break;
    case dataOut: takeData(pdu); break;
    case logoutRequest: logOut(pdu); break;
    default: reject(pdu);
  }
}

// The new session takes the place of the old one, whose commands are forgotten. To the units it is the same host back
// again after a loss (session reinstatement, RFC 7143 6.3.5).
void Target::startSession(Connection &connection) {
  if (session_) session_->close();
  session_ = &connection;
  dropTasks();
  if (hadSession_) library_.loseNexus();
  hadSession_ = true;
}

void Target::answerPing(const Pdu &pdu) {
  if (pdu.get(field::tag) == noTag) return;  // the answer to a ping of ours, which we do not send
  Header header{};
  header[0] = nopIn;
  header[field::flags] = 0x80;
  std::copy_n(&pdu.header[field::unit], 12, &header[field::unit]);  // LUN and tag
  put(&header[field::targetTag], 4, noTag);
  const size_t bytes = std::min<size_t>(pdu.data.size(), session_->sendSegmentBytes);
  session_->send(header, pdu.data.data(), bytes);
}

void Target::reject(const Pdu &pdu) {
  constexpr uint8_t commandNotSupported = 0x05;
  Header header{};
  header[0] = rejection;
  header[field::flags] = 0x80;
  header[field::response] = commandNotSupported;
  put(&header[field::tag], 4, noTag);
  session_->send(header, pdu.header.data(), headerBytes);
}

void Target::logOut(const Pdu &pdu) {
  Header header{};
  header[0] = logoutResponse;
  header[field::flags] = 0x80;
  std::copy_n(&pdu.header[field::tag], 4, &header[field::tag]);
  session_->send(header);
  session_->close();
}
