#include "sense.h"

#include "bytes.h"

std::array<uint8_t, Sense::encodedBytes> Sense::encode() const {
  std::array<uint8_t, encodedBytes> data{};
  data[0] = (deferred ? 0x71 : 0x70) | (information ? 0x80 : 0);  // response code, VALID
  data[2] = uint8_t(key) | (filemark ? 0x80 : 0) | (endOfMedium ? 0x40 : 0) | (incorrectLength ? 0x20 : 0);
  put(&data[3], 4, information.value_or(0));
  data[7] = encodedBytes - 8;  // additional sense length
  put(&data[12], 2, code);
  return data;
}
