// The log pages of a drive (SSC-4 8.2).
#include "drive.h"

namespace {

constexpr unsigned mebibyteShift = 20;
constexpr uint8_t binaryList = 0x03;  // FORMAT AND LINKING
constexpr uint8_t asciiList = 0x01;

void appendCount(Bytes &page, uint16_t code, uint64_t value) { appendLogParameter(page, code, binaryList, 4, value); }

}  // namespace

bool Drive::logPage(uint8_t page, Bytes &body) {
  const Cartridge *medium = isLoaded_ ? cartridge_ : nullptr;
  switch (page) {
    case 0x02:  // write error counters
    case 0x03:  // read error counters: of all only 0005h, total bytes processed, ever counts
      for (uint16_t code = 0; code <= 6; ++code) {
        const uint64_t bytes = page == 0x02 ? bytesFromHost_ : bytesToHost_;
        appendLogParameter(body, code, 0, 8, code == 5 ? bytes : 0);
      }
      return true;
    case 0x0c:  // sequential-access device
      appendLogParameter(body, 0x0000, 0, 8, bytesFromHost_);  // received for WRITE
      appendLogParameter(body, 0x0001, 0, 8, bytesFromHost_);  // written on the medium
      appendLogParameter(body, 0x0002, 0, 8, bytesToHost_);    // read from the medium
      appendLogParameter(body, 0x0003, 0, 8, bytesToHost_);    // sent for READ
      appendLogParameter(body, 0x0100, 0, 4, 0);               // cleaning required: never
      return true;
    case 0x17:  // volume statistics
      if (!medium) throw CheckCondition{condition::mediumNotPresent};
      appendCount(body, 0x0000, 1);                                       // page valid
      appendCount(body, 0x0001, medium->loads);                           // thread count
      appendCount(body, 0x0010, medium->bytesWritten >> mebibyteShift);   // lifetime written
      appendCount(body, 0x0011, medium->bytesRead >> mebibyteShift);      // lifetime read
      appendCount(body, 0x0016, medium->capacityBytes >> mebibyteShift);  // native capacity
      appendCount(body, 0x0017, medium->usedBytes() >> mebibyteShift);    // used native capacity
      append(body, 2, 0x0040);                                            // volume serial number
      append(body, 2, asciiList << 8 | 32);
      appendText(body, 32, medium->serial);
      appendCount(body, 0x0080, medium->isWriteProtected);
      appendCount(body, 0x0081, medium->isWorm);
      return true;
    case 0x31:  // tape capacity in MiB: main partition, and an alternate one that is not there
      appendCount(body, 0x0001, medium ? (medium->capacityBytes - medium->usedBytes()) >> mebibyteShift : 0);
      appendCount(body, 0x0002, 0);
      appendCount(body, 0x0003, medium ? medium->capacityBytes >> mebibyteShift : 0);
      appendCount(body, 0x0004, 0);
      return true;
    default: return false;
  }
}
