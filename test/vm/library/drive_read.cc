// READ(6), SSC-4 7.4.
#include <algorithm>

#include "drive.h"

void Drive::checkDecryption(const TapeObject &block) const {
  if (block.key) {
    if (!encryption_.decrypts()) throw CheckCondition{condition::unableToDecrypt};
    if (*block.key != *encryption_.key()) throw CheckCondition{condition::incorrectKey};
  } else if (encryption_.refusesPlainBlocks()) {
    throw CheckCondition{condition::unencryptedData};
  }
}

void Drive::read(const Command &command, Reply &reply) {
  const bool isFixed = command.cdb[1] & 0x01;
  const bool suppressesIncorrectLength = command.cdb[1] & 0x02;  // SILI
  const uint32_t length = get24(command.at(2));
  requireReady();
  if (isFixed && (suppressesIncorrectLength || blockBytes_ == 0)) throw CheckCondition{condition::invalidFieldInCdb};
  const uint32_t wanted = isFixed ? blockBytes_ : length;
  const uint32_t blocks = isFixed ? length : 1;
  if (uint64_t(wanted) * blocks > transferBytesMax) throw CheckCondition{condition::invalidFieldInCdb};
  if (length == 0) return;
  faults.pass(fault::read);
  for (uint32_t done = 0; done < blocks; ++done) {
    const uint32_t residue = isFixed ? blocks - done : length;
    if (position_ >= cartridge_->end()) {
      reply.sense = condition::endOfData.withInformation(residue);
      return;
    }
    const TapeObject &object = cartridge_->object(position_);
    if (object.isFilemark) {
      moveTo(position_ + 1);
      reply.sense = condition::filemarkDetected.withInformation(residue);
      return;
    }
    try {
      checkDecryption(object);
    } catch (const CheckCondition &failure) {
      reply.sense = failure.sense;  // the blocks before it are handed over
      return;
    }
    const uint32_t actual = uint32_t(object.data.size());
    const uint32_t taken = std::min(actual, wanted);
    reply.data.insert(reply.data.end(), object.data.begin(), object.data.begin() + taken);
    cartridge_->bytesRead += taken;
    bytesToHost_ += taken;
    moveTo(position_ + 1);
    if (actual == wanted) continue;
    // SILI hides a short block always, a long one only while the drive has no fixed block length.
    if (suppressesIncorrectLength && (actual < wanted || blockBytes_ == 0)) continue;
    Sense sense(SenseKey::noSense, 0);
    sense.incorrectLength = true;
    reply.sense = sense.withInformation(isFixed ? residue : wanted - actual);
    return;
  }
}
