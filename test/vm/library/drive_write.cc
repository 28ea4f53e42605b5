// WRITE, WRITE FILEMARKS, ERASE and what protects a tape from them (SSC-4).
#include "drive.h"

namespace {

constexpr uint64_t megabyte = 1000000;  // the unit of PEWS

// On WORM the filemarks right before end of data may be overwritten, all but the first of them, so that a host can go on
// behind the last archive it closed (SSC-4, WORM MODE FILEMARKS RESTRICTIONS 02h).
bool mayExtendWorm(const Cartridge &cartridge, uint64_t position) {
  if (position == 0 || !cartridge.object(position - 1).isFilemark) return false;
  const uint64_t filemarksBehind = cartridge.filemarksBefore(cartridge.end()) - cartridge.filemarksBefore(position);
  return filemarksBehind == cartridge.end() - position;
}

}  // namespace

bool Drive::isInEarlyWarning() const {
  return cartridge_ && cartridge_->bytesBefore(position_) > cartridge_->earlyWarningBytes();
}

// Where the programmable early warning zone begins; without one, nowhere.
uint64_t Drive::programmableWarningBytes() const {
  const uint64_t zone = get16(modePages_.current(0x10, 0x01) + 6) * megabyte;  // PEWS
  if (zone == 0) return UINT64_MAX;
  const uint64_t earlyWarning = cartridge_->earlyWarningBytes();
  return earlyWarning > zone ? earlyWarning - zone : 0;
}

bool Drive::isInProgrammableWarning() const {
  return cartridge_ && cartridge_->bytesBefore(position_) > programmableWarningBytes();
}

// What every command that changes the tape passes last before it does. Throws with nothing touched, or makes the
// position the end of data.
void Drive::startWriting() {
  if (cartridge_->isWriteProtected) throw CheckCondition{condition::writeProtected};
  const bool isAppendOnly = modePages_.current(0x10, 0x01)[5] & 0x10;  // WRITE MODE 1
  if (position_ < cartridge_->end()) {
    if (cartridge_->isWorm && !mayExtendWorm(*cartridge_, position_)) {
      throw CheckCondition{condition::overwriteAttempted};
    }
    if (isAppendOnly && overwriteAllowedAt_ != position_) throw CheckCondition{condition::overwriteAttempted};
  }
  overwriteAllowedAt_.reset();
  cartridge_->truncate(position_);
  if (!isChangedSinceSync_) ++cartridge_->changeReference;
  isChangedSinceSync_ = true;
}

// What was written is on tape; the sense only tells how near the end is.
void Drive::warnOfEnd(Reply &reply) {
  if (isInEarlyWarning()) {
    isWarned_ = true;
    reply.sense = condition::earlyWarning.withInformation(0);
  } else if (isInProgrammableWarning() && !isWarned_) {
    isWarned_ = true;
    reply.sense = condition::programmableEarlyWarning.withInformation(0);
  }
}

void Drive::write(const Command &command, Reply &reply) {
  const bool isFixed = command.cdb[1] & 0x01;
  const uint32_t length = get24(command.at(2));
  requireReady();
  if (isFixed && blockBytes_ == 0) throw CheckCondition{condition::invalidFieldInCdb};
  const uint32_t blockBytes = isFixed ? blockBytes_ : length;
  const uint32_t blocks = isFixed ? length : 1;
  if (blockBytes > blockBytesMax || uint64_t(blockBytes) * blocks > command.dataOut.size()) {
    throw CheckCondition{condition::invalidFieldInCdb};
  }
  if (length == 0) return;
  faults.pass(fault::write);
  startWriting();
  for (uint32_t done = 0; done < blocks; ++done) {
    if (!cartridge_->hasRoomFor(blockBytes)) {
      reply.sense = condition::volumeOverflow.withInformation(isFixed ? blocks - done : length);
      return;
    }
    const uint8_t *from = command.dataOut.data() + uint64_t(done) * blockBytes;
    cartridge_->appendBlock(Bytes(from, from + blockBytes), encryption_.encrypts() ? encryption_.key() : nullptr);
    bytesFromHost_ += blockBytes;
    moveTo(position_ + 1);
  }
  warnOfEnd(reply);
}

void Drive::writeFilemarks(const Command &command, Reply &reply) {
  const bool isImmediate = command.cdb[1] & 0x01;  // IMMED
  const uint32_t count = get24(command.at(2));
  requireReady();
  if (command.cdb[1] & 0x02) throw CheckCondition{condition::invalidFieldInCdb};  // WSMK: no setmarks on LTO
  faults.pass(fault::writeFilemarks);
  if (count > 0) startWriting();
  for (uint32_t done = 0; done < count; ++done) {
    if (!cartridge_->hasRoomFor(0)) {
      reply.sense = condition::volumeOverflow.withInformation(count - done);
      return;
    }
    cartridge_->appendFilemark();
    moveTo(position_ + 1);
  }
  if (!isImmediate) isChangedSinceSync_ = false;
  if (count > 0) warnOfEnd(reply);
}

void Drive::erase() {
  requireReady();
  faults.pass(fault::write);
  startWriting();
}

// ALLOW OVERWRITE, SSC-4 7.1: the one write that an append-only tape takes before its end of data.
void Drive::allowOverwrite(const Command &command) {
  constexpr uint8_t currentPosition = 1, format = 2;  // 0 is "disabled"
  const uint8_t allowed = command.cdb[2] & 0x0f;
  const uint8_t partition = command.cdb[3];
  requireReady();
  if (allowed > format || partition != 0) throw CheckCondition{condition::invalidFieldInCdb};
  if (allowed == currentPosition && get64(command.at(4)) != position_) {
    throw CheckCondition{condition::invalidFieldInCdb};
  }
  overwriteAllowedAt_.reset();  // `format` allows nothing more, as there is no FORMAT MEDIUM here
  if (allowed == currentPosition) overwriteAllowedAt_ = position_;
}
