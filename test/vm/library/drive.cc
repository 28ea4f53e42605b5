#include "drive.h"

namespace {

std::string serialOf(unsigned number) {
  char text[16];
  snprintf(text, sizeof text, "VDRV%04u", number);
  return text;
}

constexpr uint8_t pageExtension = 0x10, subpageExtension = 0x01;

}  // namespace

Drive::Drive(unsigned number)
    : LogicalUnit(number, {0x01, "VIRTUAL LTO-8", serialOf(number)}, driveOperations()) {
  // Read-write error recovery: 8 retries each way.
  modePages_.add({0x01, 0x0a, 0, 8, 0, 0, 0, 0, 8, 0, 0, 0});
  // Data compression: DCE (changeable), DCC, DDE; default algorithm 1.
  modePages_.add({0x0f, 0x0e, 0xc0, 0x80, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0}, {0, 0, 0x80});
  // Device configuration: WRITE DELAY TIME 200 ms (changeable), BIS, EEG and SEW, SELECT DATA COMPRESSION ALGORITHM 1,
  // which DCE above overrides (SSC-4 8.3.3).
  modePages_.add({0x10, 0x0e, 0, 0, 0, 0, 0, 2, 0x40, 0, 0x18, 0, 0, 0, 1, 0}, {0, 0, 0, 0, 0, 0, 0xff, 0xff});
  // Device configuration extension: WRITE MODE 0 or 1 in the upper half of byte 5, PEWS in bytes 6 and 7 (SSC-4 8.3.8).
  Bytes extension = {0x40 | pageExtension, subpageExtension, 0, 0x1c};
  extension.resize(32);
  modePages_.add(extension, {0, 0, 0, 0, 0, 0x10, 0xff, 0xff});
  // Informational exceptions control: DEXCPT, MRIE 3.
  modePages_.add({0x1c, 0x0a, 0x08, 0x03, 0, 0, 0, 0, 0, 0, 0, 0});
  // Medium configuration: no label may be overwritten on WORM, filemarks before end of data may but the first (02h).
  Bytes medium = {0x1d, 0x1e, 0, 0, 0x00, 0x02};
  medium.resize(32);
  modePages_.add(medium);
}

void Drive::carryOut(const Command &command, Reply &reply) {
  switch (command.operation()) {
    case 0x00: requireReady(); break;  // TEST UNIT READY
    case 0x01:                         // REWIND
      requireReady();
      faults.pass(fault::locate);
      moveTo(0);
      break;
    case 0x05: readBlockLimits(reply); break;
    case 0x08: read(command, reply); break;
    case 0x0a: write(command, reply); break;
    case 0x10: writeFilemarks(command, reply); break;
    case 0x11: {  // SPACE(6), with a signed count of 24 bits
      const int32_t count = int32_t(get24(command.at(2)) << 8) >> 8;
      space(command.cdb[1] & 0x0f, count, reply);
      break;
    }
    case 0x91:  // SPACE(16)
      space(command.cdb[1] & 0x0f, int64_t(get64(command.at(4))), reply);
      break;
    case 0x19: erase(); break;
    case 0x1b: loadUnload(command); break;
    case 0x2b:  // LOCATE
    case 0x92: locate(command); break;
    case 0x34: readPosition(command, reply); break;
    case 0x44: reportDensity(command, reply); break;
    case 0x82: allowOverwrite(command); break;
    case 0x8c: readAttributes(command, reply); break;
    case 0x8d: writeAttributes(command); break;
    case 0xa2: {  // SECURITY PROTOCOL IN; its page 21h is about the next block on tape
      if (command.cdb[1] == 0x20 && get16(command.at(2)) == 0x0021) requireReady();
      const bool hasObject = isLoaded_ && cartridge_ && position_ < cartridge_->end();
      encryption_.report(command, hasObject ? &cartridge_->object(position_) : nullptr, position_, reply.data);
      break;
    }
    case 0xb5: encryption_.set(command); break;  // SECURITY PROTOCOL OUT
    default: throw CheckCondition{condition::invalidOperationCode};
  }
}

std::optional<Sense> Drive::currentState() const {
  if (!cartridge_) return condition::mediumNotPresent;
  if (!isLoaded_) return condition::initializingCommandRequired;
  return std::nullopt;
}

void Drive::requireReady() const {
  if (const auto state = currentState()) throw CheckCondition{*state};
  if (cartridge_->isCleaning) throw CheckCondition{condition::cleaningCartridgeInstalled};
}

Cartridge &Drive::requireMedium() const {
  if (!cartridge_ || !isLoaded_) throw CheckCondition{condition::mediumNotPresent};
  return *cartridge_;
}

void Drive::insert(Cartridge &cartridge) {
  cartridge_ = &cartridge;
  load();
}

void Drive::remove() {
  isLoaded_ = false;
  moveTo(0);
  cartridge_ = nullptr;
}

void Drive::load() {
  isLoaded_ = true;
  overwriteAllowedAt_.reset();
  moveTo(0);
  isChangedSinceSync_ = false;
  ++cartridge_->loads;
  cartridge_->lastDrive = std::string(vendor) + " " + identity.serial;
  raise(attention::mediumMayHaveChanged);
}

void Drive::loadUnload(const Command &command) {
  if (!cartridge_) throw CheckCondition{condition::mediumNotPresent};
  const bool isLoad = command.cdb[4] & 0x01;
  if (isLoad) {
    faults.pass(fault::load);
    if (isLoaded_) {
      moveTo(0);
    } else {
      load();
    }
    return;
  }
  if (isRemovalPrevented_) throw CheckCondition{condition::removalPrevented};
  overwriteAllowedAt_.reset();
  moveTo(0);
  isLoaded_ = false;
}

void Drive::reset(uint16_t code) {
  LogicalUnit::reset(code);
  blockBytes_ = 0;
  bufferedMode_ = 1;
  overwriteAllowedAt_.reset();
  encryption_ = Encryption();
  moveTo(0);
}

void Drive::powerCycle() {
  LogicalUnit::powerCycle();
  bytesFromHost_ = bytesToHost_ = 0;
}

LogicalUnit::ModeHeader Drive::modeHeader() {
  const bool hasMedium = isLoaded_ && cartridge_;
  ModeHeader header;
  // Medium type: LTO-8 data 98h, WORM 9Ch.
  if (hasMedium) header.mediumType = cartridge_->isWorm ? 0x9c : 0x98;
  header.deviceSpecific = uint8_t(bufferedMode_ << 4);
  if (hasMedium && cartridge_->isWriteProtected) header.deviceSpecific |= 0x80;  // WP
  header.blockDescriptor = {hasMedium ? densityCode : uint8_t(0)};
  append(header.blockDescriptor, 4, 0);  // number of blocks: all
  append(header.blockDescriptor, 3, blockBytes_);
  modePages_.show(0x1d, 2, hasMedium && cartridge_->isWorm ? 0x01 : 0x00);  // WORMM
  return header;
}

void Drive::selectHeader(uint8_t deviceSpecific, const uint8_t *blockDescriptor) {
  const uint8_t bufferedMode = deviceSpecific >> 4 & 0x07;
  if (bufferedMode > 1) throw CheckCondition{condition::invalidFieldInParameterList};
  if (blockDescriptor) {
    const uint32_t blockBytes = get24(blockDescriptor + 5);
    if (blockBytes > blockBytesMax) throw CheckCondition{condition::invalidFieldInParameterList};
    blockBytes_ = blockBytes;
  }
  bufferedMode_ = bufferedMode;
}

bool Drive::vitalProductData(uint8_t page, Bytes &body) const {
  switch (page) {
    case 0xb0:  // sequential-access device capabilities: WORM
      body = {0x01, 0x00};
      return true;
    case 0xb1:  // manufacturer-assigned serial number
      appendText(body, unsigned(identity.serial.size()), identity.serial);
      return true;
    default: return false;
  }
}

void Drive::readBlockLimits(Reply &reply) const {
  append(reply.data, 4, blockBytesMax);  // granularity 0, then the maximum in three bytes
  append(reply.data, 2, 1);
}

// The one density, LTO-8 (SSC-4 7.8).
void Drive::reportDensity(const Command &command, Reply &reply) const {
  const bool ofMedium = command.cdb[1] & 0x01;  // MEDIA
  if (command.cdb[1] & 0x02) throw CheckCondition{condition::invalidFieldInCdb};  // MEDIUM TYPE descriptors
  if (ofMedium) requireMedium();
  Bytes &data = reply.data;
  append(data, 2, 54);  // available length
  append(data, 2, 0);
  data.push_back(densityCode);  // primary
  data.push_back(densityCode);  // secondary
  data.push_back(0xa0);         // WRTOK, DEFLT
  append(data, 2, 0);
  append(data, 3, 20666);     // bits per mm
  append(data, 2, 127);       // width in 0.1 mm
  append(data, 2, 6656);      // tracks
  append(data, 4, 12000000);  // capacity in MB
  appendText(data, 8, "LTO-CVE");
  appendText(data, 8, "U-832");
  appendText(data, 20, "Ultrium 8/32T");
}
