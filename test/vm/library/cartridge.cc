#include "cartridge.h"

#include <algorithm>

namespace {

// Bounds the memory that filemarks and tiny blocks can take; no real use comes near.
constexpr uint64_t objectsMax = 4u << 20;

bool startsWith(const std::string &text, const char *prefix) { return text.rfind(prefix, 0) == 0; }

// Media identifiers of WORM cartridges are LT (LTO-3) to LZ (LTO-9).
bool isWormBarcode(const std::string &barcode) {
  if (startsWith(barcode, "WRM")) return true;
  return barcode.size() == 8 && barcode[6] == 'L' && barcode[7] >= 'T' && barcode[7] <= 'Z';
}

}  // namespace

Cartridge::Cartridge(const std::string &barcode, uint64_t capacityBytes)
    : barcode(barcode),
      serial(barcode),
      capacityBytes(capacityBytes),
      isWorm(isWormBarcode(barcode)),
      isCleaning(startsWith(barcode, "CLN")) {}

uint64_t Cartridge::bytesBefore(uint64_t position) const {
  if (position < objects_.size()) return objects_[position].bytesBefore;
  if (objects_.empty()) return 0;
  return objects_.back().bytesBefore + objects_.back().data.size();
}

uint64_t Cartridge::filemarksBefore(uint64_t position) const {
  if (position < objects_.size()) return objects_[position].filemarksBefore;
  if (objects_.empty()) return 0;
  return objects_.back().filemarksBefore + (objects_.back().isFilemark ? 1 : 0);
}

uint64_t Cartridge::earlyWarningBytes() const {
  const uint64_t zone = std::max<uint64_t>(capacityBytes / 50, 2u << 20);
  return capacityBytes > zone ? capacityBytes - zone : 0;
}

bool Cartridge::hasRoomFor(uint64_t bytes) const {
  return objects_.size() < objectsMax && usedBytes() + bytes <= capacityBytes;
}

void Cartridge::append(TapeObject object) {
  object.bytesBefore = bytesBefore(end());
  object.filemarksBefore = filemarksBefore(end());
  objects_.push_back(std::move(object));
}

void Cartridge::appendBlock(Bytes data, std::shared_ptr<const Key> key) {
  bytesWritten += data.size();
  TapeObject block;
  block.data = std::move(data);
  block.key = std::move(key);
  append(std::move(block));
}

void Cartridge::appendFilemark() {
  TapeObject filemark;
  filemark.isFilemark = true;
  append(std::move(filemark));
}

void Cartridge::truncate(uint64_t position) {
  if (position < objects_.size()) objects_.resize(position);
}

bool Cartridge::corrupt(uint64_t position) {
  if (position >= objects_.size() || objects_[position].data.empty()) return false;
  objects_[position].data[0] ^= 0xff;
  return true;
}
