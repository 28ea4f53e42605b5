#include "listing.h"

#include <cstring>
#include <utility>

namespace {

/** linux/fuse.h: struct fuse_entry_out, then struct fuse_dirent, whose name begins behind 24 bytes. */
constexpr size_t kEntryBytes = 128;
constexpr size_t kNameLengthAt = kEntryBytes + 16;
constexpr size_t kNameAt = kEntryBytes + 24;
constexpr size_t kNameBytesMax = 4096;
constexpr size_t kBytesMax = 1 << 30;

}  // namespace

std::shared_ptr<const Listing> Listing::of(std::string entries) {
  std::vector<uint32_t> starts;
  const size_t end = entries.size();
  if (end > kBytesMax) return nullptr;
  size_t at = 0;
  while (at < end) {
    starts.push_back(static_cast<uint32_t>(at));
    if (end - at < kNameAt) return nullptr;
    uint32_t length;
    std::memcpy(&length, entries.data() + at + kNameLengthAt, sizeof length);
    if (length > kNameBytesMax) return nullptr;
    at += (kNameAt + length + 7) & ~size_t{7};
  }
  if (at != end) return nullptr;
  starts.push_back(static_cast<uint32_t>(end));
  return std::shared_ptr<const Listing>(new Listing(std::move(entries), std::move(starts)));
}

Listing::Part Listing::from(uint64_t offset, uint32_t size, bool is_plus) const {
  const size_t all = starts_.size() - 1;
  const size_t first = offset < all ? static_cast<size_t>(offset) : all;
  size_t last = first;
  for (size_t bytes = 0; last < all; ++last) {
    bytes += starts_[last + 1] - starts_[last] - (is_plus ? 0 : kEntryBytes);
    if (bytes > size) break;
  }
  return {first, last - first, last == all};
}

std::string_view Listing::entries(const Part& part) const {
  const uint32_t start = starts_[part.first];
  return std::string_view(entries_).substr(start, starts_[part.first + part.count] - start);
}

std::string Listing::names(const Part& part) const {
  std::string bytes;
  for (size_t index = part.first; index < part.first + part.count; ++index) {
    const uint32_t start = starts_[index] + kEntryBytes;
    bytes.append(entries_, start, starts_[index + 1] - start);
  }
  return bytes;
}
