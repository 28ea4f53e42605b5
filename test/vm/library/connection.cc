#include "connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace {

constexpr uint32_t commandWindow = 64;  // commands the initiator may have under way
constexpr time_t sendTimeoutS = 30;     // an initiator that takes nothing for so long is gone

size_t padded(size_t bytes) { return (bytes + 3) & ~size_t(3); }

}  // namespace

Connection::Connection(int socket) : socket_(socket) {
  const int on = 1;
  const timeval timeout = {sendTimeoutS, 0};
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  constexpr size_t extraHeadersMax = 255 * 4;
  buffer_.resize(headerBytes + extraHeadersMax + padded(receiveSegmentBytes));
}

Connection::~Connection() { ::close(socket_); }

// Reads until the buffer holds `bytes`; false if they are not all there yet.
bool Connection::fill(size_t bytes) {
  while (filled_ < bytes) {
    const ssize_t got = recv(socket_, buffer_.data() + filled_, bytes - filled_, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) {
      close();
      return false;
    }
    filled_ += size_t(got);
  }
  return true;
}

std::optional<Pdu> Connection::receive() {
  if (isClosed_ || !fill(headerBytes)) return std::nullopt;
  const size_t dataBytes = get24(&buffer_[field::dataLength]);
  const size_t dataAt = headerBytes + buffer_[field::extraHeaders] * 4u;
  if (dataBytes > receiveSegmentBytes) {
    close();
    return std::nullopt;
  }
  if (!fill(dataAt + padded(dataBytes))) return std::nullopt;
  filled_ = 0;
  Pdu pdu;
  std::copy_n(buffer_.begin(), headerBytes, pdu.header.begin());
  pdu.data.assign(buffer_.begin() + dataAt, buffer_.begin() + dataAt + dataBytes);
  return pdu;
}

void Connection::send(Header header, const uint8_t *data, size_t bytes, bool countsAsStatus) {
  static const uint8_t padding[4] = {};
  if (isClosed_) return;
  put(&header[field::dataLength], 3, bytes);
  put(&header[field::statSn], 4, statSn_);
  if (countsAsStatus) ++statSn_;
  put(&header[field::expectedCmdSn], 4, expectedCmdSn);
  put(&header[field::maxCmdSn], 4, expectedCmdSn + commandWindow - 1);
  iovec parts[3] = {
      {header.data(), headerBytes},
      {const_cast<uint8_t *>(data), bytes},
      {const_cast<uint8_t *>(padding), padded(bytes) - bytes},
  };
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 3;
  for (size_t left = headerBytes + padded(bytes); left > 0;) {
    const ssize_t sent = sendmsg(socket_, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) {
      close();
      return;
    }
    left -= size_t(sent);
    size_t done = size_t(sent);
    for (iovec &part : parts) {
      const size_t taken = done < part.iov_len ? done : part.iov_len;
      part.iov_base = static_cast<uint8_t *>(part.iov_base) + taken;
      part.iov_len -= taken;
      done -= taken;
    }
  }
}
