// Sense data: why a command ended with CHECK CONDITION. SPC-4 4.5, fixed format.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

enum class SenseKey : uint8_t {
  noSense = 0x0,
  notReady = 0x2,
  mediumError = 0x3,
  illegalRequest = 0x5,
  unitAttention = 0x6,
  dataProtect = 0x7,
  blankCheck = 0x8,
  volumeOverflow = 0xd,
};

struct Sense {
  Sense(SenseKey key, uint16_t code) : key(key), code(code) {}

  SenseKey key;
  uint16_t code;  // additional sense code and qualifier: 3A00h is 3Ah/00h
  bool deferred = false;
  bool filemark = false;
  bool endOfMedium = false;
  bool incorrectLength = false;
  std::optional<uint32_t> information;

  // Residue of a command that stopped early. Negative for a block longer than asked for (SSC-4, READ).
  Sense withInformation(uint32_t value) const {
    Sense sense = *this;
    sense.information = value;
    return sense;
  }
  Sense withEndOfMedium() const {
    Sense sense = *this;
    sense.endOfMedium = true;
    return sense;
  }
  Sense withFilemark() const {
    Sense sense = *this;
    sense.filemark = true;
    return sense;
  }

  static constexpr unsigned encodedBytes = 18;
  std::array<uint8_t, encodedBytes> encode() const;
};

// Thrown by a command that is refused or fails without data for the host.
struct CheckCondition {
  Sense sense;
};

// The conditions that devices raise by themselves, by their names in SPC-4 annex F.
namespace condition {
inline const Sense filemarkDetected = Sense(SenseKey::noSense, 0x0001).withFilemark();
inline const Sense earlyWarning = Sense(SenseKey::noSense, 0x0002).withEndOfMedium();
inline const Sense beginningOfMedium = Sense(SenseKey::noSense, 0x0004).withEndOfMedium();
inline const Sense programmableEarlyWarning = Sense(SenseKey::noSense, 0x0007).withEndOfMedium();
inline const Sense initializingCommandRequired(SenseKey::notReady, 0x0402);
inline const Sense cleaningCartridgeInstalled(SenseKey::notReady, 0x3003);
inline const Sense mediumNotPresent(SenseKey::notReady, 0x3a00);
inline const Sense parameterListLengthError(SenseKey::illegalRequest, 0x1a00);
inline const Sense invalidOperationCode(SenseKey::illegalRequest, 0x2000);
inline const Sense invalidElementAddress(SenseKey::illegalRequest, 0x2101);
inline const Sense invalidFieldInCdb(SenseKey::illegalRequest, 0x2400);
inline const Sense logicalUnitNotSupported(SenseKey::illegalRequest, 0x2500);
inline const Sense invalidFieldInParameterList(SenseKey::illegalRequest, 0x2600);
inline const Sense savingParametersNotSupported(SenseKey::illegalRequest, 0x3900);
inline const Sense destinationElementFull(SenseKey::illegalRequest, 0x3b0d);
inline const Sense sourceElementEmpty(SenseKey::illegalRequest, 0x3b0e);
inline const Sense removalPrevented(SenseKey::illegalRequest, 0x5302);
inline const Sense auxiliaryMemoryOutOfSpace(SenseKey::illegalRequest, 0x5506);
inline const Sense writeProtected(SenseKey::dataProtect, 0x2700);
inline const Sense overwriteAttempted(SenseKey::dataProtect, 0x300c);
inline const Sense unableToDecrypt(SenseKey::dataProtect, 0x7401);
inline const Sense unencryptedData(SenseKey::dataProtect, 0x7402);
inline const Sense incorrectKey(SenseKey::dataProtect, 0x7403);
inline const Sense endOfData(SenseKey::blankCheck, 0x0005);
inline const Sense volumeOverflow = Sense(SenseKey::volumeOverflow, 0x0002).withEndOfMedium();
}  // namespace condition

// Additional sense codes of unit attentions.
namespace attention {
inline constexpr uint16_t mediumMayHaveChanged = 0x2800;
inline constexpr uint16_t importExportAccessed = 0x2801;
inline constexpr uint16_t powerOn = 0x2901;
inline constexpr uint16_t busReset = 0x2902;
inline constexpr uint16_t deviceReset = 0x2903;
inline constexpr uint16_t nexusLoss = 0x2907;
}  // namespace attention
