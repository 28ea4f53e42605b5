// A cartridge: its sticker, its memory chip and what is on the tape. Everything lives in memory.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "bytes.h"

using Key = std::array<uint8_t, 32>;  // AES-256

// A block or a filemark: what a logical object identifier counts (SSC-4).
struct TapeObject {
  bool isFilemark = false;
  Bytes data;
  std::shared_ptr<const Key> key;  // null: not encrypted
  uint64_t bytesBefore = 0;        // sums over all earlier objects, so that no command has to walk the tape
  uint64_t filemarksBefore = 0;
};

// A MAM attribute that a host has written (SPC-4 7.4.1).
struct HostAttribute {
  uint8_t format;
  Bytes value;
};

class Cartridge {
 public:
  Cartridge(const std::string &barcode, uint64_t capacityBytes);

  std::string barcode;       // the sticker as scanned; empty where there is none
  const std::string serial;  // in the chip, of the factory: the first barcode
  const uint64_t capacityBytes;
  const bool isWorm;      // barcode WRM..., or media identifier LT to LZ
  const bool isCleaning;  // barcode CLN...
  bool isWriteProtected = false;

  uint64_t loads = 0;
  uint64_t bytesWritten = 0;
  uint64_t bytesRead = 0;
  uint32_t changeReference = 1;  // MAM 0009h, grows when the content changes
  std::string lastDrive;
  std::map<uint16_t, HostAttribute> attributes;

  uint64_t end() const { return objects_.size(); }
  const TapeObject &object(uint64_t position) const { return objects_[position]; }
  uint64_t bytesBefore(uint64_t position) const;
  uint64_t filemarksBefore(uint64_t position) const;
  uint64_t usedBytes() const { return bytesBefore(end()); }

  // Where the early warning zone begins: the last 2 % of the capacity, at least 2 MiB.
  uint64_t earlyWarningBytes() const;

  bool hasRoomFor(uint64_t bytes) const;
  void appendBlock(Bytes data, std::shared_ptr<const Key> key);
  void appendFilemark();
  void truncate(uint64_t position);
  // Damages one byte of a block behind the drive's back. False where there is no such byte.
  bool corrupt(uint64_t position);

 private:
  void append(TapeObject object);
  std::vector<TapeObject> objects_;
};
