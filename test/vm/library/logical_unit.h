// What drives and the changer have in common: identity, unit attentions, mode pages, logs, planned faults (SPC-4).
#pragma once

#include <deque>
#include <map>
#include <string>

#include "command.h"
#include "fault.h"
#include "mode_page.h"
#include "operation.h"

// How a unit presents itself in INQUIRY data.
struct Identity {
  uint8_t deviceType;   // 01h sequential access, 08h medium changer
  std::string product;  // 16 characters
  std::string serial;
};

inline constexpr const char *vendor = "SHELFS";

class LogicalUnit {
 public:
  // `number` is the LUN: 0 the changer, from 1 the drives.
  LogicalUnit(unsigned number, Identity identity, const Operations &operations);
  virtual ~LogicalUnit() = default;
  LogicalUnit(const LogicalUnit &) = delete;
  LogicalUnit &operator=(const LogicalUnit &) = delete;

  const unsigned number;
  const Identity identity;
  Faults faults;
  uint64_t tapeAlerts = 0;  // bit 0 is flag 1; reading the log page clears them
  unsigned delayMs = 0;     // how long each command waits before it is carried out

  // Carries out one command. `unitCount` is for REPORT LUNS.
  Reply execute(const Command &command, unsigned unitCount);

  // Unit attentions wait in order, each for one command to report it; the same one does not wait twice.
  void raise(uint16_t code);
  // Takes the first one away, as another program's TEST UNIT READY would. False where none waits.
  bool swallowAttention();

  // A reset by LUN RESET, a bus or a target: what a host had set is gone. The unit attention replaces all that waited.
  virtual void reset(uint16_t code);
  virtual void powerCycle();
  // The host's session is gone and came back.
  void loseNexus();

  bool isRemovalPrevented() const { return isRemovalPrevented_; }

 protected:
  // Commands beyond those of this class.
  virtual void carryOut(const Command &command, Reply &reply) = 0;
  // REQUEST SENSE where no unit attention waits.
  virtual std::optional<Sense> currentState() const { return std::nullopt; }
  // VPD pages beyond 00h, 80h and 83h. False where there is no such page.
  virtual bool vitalProductData(uint8_t, Bytes &) const { return false; }
  virtual std::vector<uint8_t> vitalProductPages() const { return {}; }

  struct ModeHeader {
    uint8_t mediumType = 0;
    uint8_t deviceSpecific = 0;
    Bytes blockDescriptor;  // empty, or 8 bytes
  };
  virtual ModeHeader modeHeader() { return {}; }
  // Takes over what a MODE SELECT header and block descriptor say; called when all else was found good.
  // Throws CheckCondition, with nothing changed, for what it cannot do.
  virtual void selectHeader(uint8_t deviceSpecific, const uint8_t *blockDescriptor);

  // Log pages beyond 00h and 2Eh. False where there is no such page.
  virtual bool logPage(uint8_t, Bytes &) { return false; }
  virtual std::vector<uint8_t> logPages() const { return {}; }

  ModePages modePages_;
  bool isRemovalPrevented_ = false;

 private:
  bool carryOutCommon(const Command &command, Reply &reply, unsigned unitCount);
  void inquiry(const Command &command, Reply &reply) const;
  void standardInquiry(Bytes &data) const;
  void vitalProduct(uint8_t page, Bytes &data) const;
  void requestSense(Reply &reply);
  void modeSense(const Command &command, Reply &reply);
  void modeSelect(const Command &command);
  void logSense(const Command &command, Reply &reply);

  const Operations &operations_;
  std::deque<uint16_t> attentions_;
};

// Appends one log parameter: code, control byte (DU, FORMAT AND LINKING), length, value (SPC-4 7.3.2).
void appendLogParameter(Bytes &page, uint16_t code, uint8_t control, unsigned bytes, uint64_t value);
