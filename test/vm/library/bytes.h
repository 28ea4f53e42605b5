// Big-endian integers in byte buffers, the only number format of SCSI and iSCSI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using Bytes = std::vector<uint8_t>;

inline uint16_t get16(const uint8_t *from) { return uint16_t(from[0] << 8 | from[1]); }
inline uint32_t get24(const uint8_t *from) { return uint32_t(from[0]) << 16 | get16(from + 1); }
inline uint32_t get32(const uint8_t *from) { return uint32_t(get16(from)) << 16 | get16(from + 2); }
inline uint64_t get64(const uint8_t *from) { return uint64_t(get32(from)) << 32 | get32(from + 4); }

// Writes the `bytes` low bytes of `value`.
inline void put(uint8_t *to, unsigned bytes, uint64_t value) {
  for (unsigned index = 0; index < bytes; ++index) to[index] = uint8_t(value >> (8 * (bytes - 1 - index)));
}

// Appends the `bytes` low bytes of `value`.
inline void append(Bytes &to, unsigned bytes, uint64_t value) {
  to.resize(to.size() + bytes);
  put(to.data() + to.size() - bytes, bytes, value);
}

inline void append(Bytes &to, const Bytes &more) { to.insert(to.end(), more.begin(), more.end()); }

// Appends text in a field of `width` bytes, cut or filled with blanks as SCSI does with ASCII.
inline void appendText(Bytes &to, unsigned width, std::string text) {
  text.resize(width, ' ');
  to.insert(to.end(), text.begin(), text.end());
}
