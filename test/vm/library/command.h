// One SCSI command and its answer, free of the transport that carried them.
#pragma once

#include <array>
#include <optional>

#include "bytes.h"
#include "sense.h"

// The most data one command may move, either way.
inline constexpr uint32_t transferBytesMax = 16u << 20;

struct Command {
  std::array<uint8_t, 16> cdb;  // shorter ones are filled with zeros
  Bytes dataOut;

  uint8_t operation() const { return cdb[0]; }
  const uint8_t *at(unsigned offset) const { return cdb.data() + offset; }
};

// Data and sense may come together: READ hands over the blocks before the one that stopped it.
struct Reply {
  Bytes data;
  std::optional<Sense> sense;
};
