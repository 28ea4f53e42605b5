// One TCP connection of an iSCSI initiator: whole protocol data units in and out (RFC 7143 section 11).
#pragma once

#include <array>
#include <optional>

#include "bytes.h"

// Offsets in the basic header segment that most PDUs share.
namespace field {
inline constexpr unsigned flags = 1, response = 2, status = 3, extraHeaders = 4, dataLength = 5, unit = 8, tag = 16,
                          targetTag = 20, statSn = 24, expectedCmdSn = 28, maxCmdSn = 32, sequence = 36, offset = 40,
                          length = 44;
inline constexpr unsigned cmdSn = 24;  // in PDUs of the initiator
}  // namespace field

inline constexpr size_t headerBytes = 48;
inline constexpr uint32_t noTag = 0xffffffff;

using Header = std::array<uint8_t, headerBytes>;

struct Pdu {
  Header header{};
  Bytes data;

  uint8_t operation() const { return header[0] & 0x3f; }
  bool isImmediate() const { return header[0] & 0x40; }
  bool isFinal() const { return header[field::flags] & 0x80; }
  uint32_t get(unsigned offset) const { return get32(header.data() + offset); }
};

class Connection {
 public:
  // Takes over the socket.
  explicit Connection(int socket);
  ~Connection();
  Connection(const Connection &) = delete;
  Connection &operator=(const Connection &) = delete;

  int socket() const { return socket_; }
  // Broken, or ended by either side; nothing more comes or goes.
  bool isClosed() const { return isClosed_; }
  void close() { isClosed_ = true; }

  // The next PDU if it is there as a whole. Never waits.
  std::optional<Pdu> receive();

  // Fills in the sequence numbers and sends. `countsAsStatus` is false for R2T and Data-In, which take no StatSN.
  void send(Header header, const uint8_t *data = nullptr, size_t bytes = 0, bool countsAsStatus = true);

  // What login agreed on.
  bool isLoggedIn = false;
  uint32_t sendSegmentBytes = 8192;  // the initiator's MaxRecvDataSegmentLength
  uint32_t burstBytes = 262144;      // MaxBurstLength
  uint32_t expectedCmdSn = 0;

  static constexpr uint32_t receiveSegmentBytes = 262144;  // our MaxRecvDataSegmentLength

 private:
  bool fill(size_t bytes);

  const int socket_;
  bool isClosed_ = false;
  uint32_t statSn_ = 1;
  Bytes buffer_;
  size_t filled_ = 0;
};
