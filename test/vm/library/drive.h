// A tape drive of the LTO-8 kind (SSC-4), one partition, everything written at once.
#pragma once

#include "cartridge.h"
#include "encryption.h"
#include "logical_unit.h"

class Drive final : public LogicalUnit {
 public:
  explicit Drive(unsigned number);

  // The robot or a person brings or takes the cartridge; the drive does not own it.
  void insert(Cartridge &cartridge);
  void remove();
  Cartridge *cartridge() const { return cartridge_; }
  bool isLoaded() const { return isLoaded_; }
  uint64_t position() const { return position_; }

  // Both keep the cartridge loaded and leave the tape at its beginning.
  void reset(uint16_t code) override;
  void powerCycle() override;

  static constexpr uint32_t blockBytesMax = 8u << 20;  // READ BLOCK LIMITS
  static constexpr uint8_t densityCode = 0x5e;         // LTO-8

 protected:
  void carryOut(const Command &command, Reply &reply) override;
  std::optional<Sense> currentState() const override;
  bool vitalProductData(uint8_t page, Bytes &body) const override;
  std::vector<uint8_t> vitalProductPages() const override { return {0xb0, 0xb1}; }
  ModeHeader modeHeader() override;
  void selectHeader(uint8_t deviceSpecific, const uint8_t *blockDescriptor) override;
  bool logPage(uint8_t page, Bytes &body) override;
  std::vector<uint8_t> logPages() const override { return {0x02, 0x03, 0x0c, 0x17, 0x31}; }

 private:
  // drive.cc: the medium
  void requireReady() const;
  Cartridge &requireMedium() const;  // for commands that need the chip but no tape
  void load();
  void loadUnload(const Command &command);
  void readBlockLimits(Reply &reply) const;
  void reportDensity(const Command &command, Reply &reply) const;

  // drive_position.cc
  void moveTo(uint64_t position);
  void space(uint8_t code, int64_t count, Reply &reply);
  void spaceForward(bool overFilemarks, uint64_t count, Reply &reply);
  void spaceBackward(bool overFilemarks, uint64_t count, Reply &reply);
  void locate(const Command &command);
  void locateFile(uint64_t fileNumber);
  void readPosition(const Command &command, Reply &reply) const;

  // drive_read.cc
  void read(const Command &command, Reply &reply);
  void checkDecryption(const TapeObject &block) const;

  // drive_write.cc
  void write(const Command &command, Reply &reply);
  void writeFilemarks(const Command &command, Reply &reply);
  void erase();
  void allowOverwrite(const Command &command);
  void startWriting();
  void warnOfEnd(Reply &reply);
  uint64_t programmableWarningBytes() const;
  bool isInEarlyWarning() const;
  bool isInProgrammableWarning() const;

  // attribute.cc: the cartridge's chip
  void readAttributes(const Command &command, Reply &reply) const;
  void writeAttributes(const Command &command);

  Cartridge *cartridge_ = nullptr;
  bool isLoaded_ = false;
  uint64_t position_ = 0;
  uint32_t blockBytes_ = 0;  // of fixed-block transfers; 0: variable blocks only
  uint8_t bufferedMode_ = 1;
  std::optional<uint64_t> overwriteAllowedAt_;
  bool isWarned_ = false;               // of the programmable early warning, since the tape came into its zone
  bool isChangedSinceSync_ = false;     // the volume change reference has grown for what is being written
  Encryption encryption_;
  // Since power on, for the logs.
  uint64_t bytesFromHost_ = 0;
  uint64_t bytesToHost_ = 0;
};
