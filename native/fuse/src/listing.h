/** A directory's entries as READDIRPLUS gives them, whole: what is asked of it is answered from wherever the kernel asks. */
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

class Listing {
 public:
  /** Entries from `first` up to, not including, `first + count`. */
  struct Part {
    size_t first;
    size_t count;
    bool is_end;  // none follows
  };

  /** @param entries struct fuse_direntplus, back to back, each padded to 8 bytes; null where they are not whole */
  static std::shared_ptr<const Listing> of(std::string entries);

  /** As many from `offset` on as `size` bytes hold, with their attributes or without. */
  Part from(uint64_t offset, uint32_t size, bool is_plus) const;
  /** As READDIRPLUS and READDIR want them. */
  std::string_view entries(const Part& part) const;
  std::string names(const Part& part) const;

 private:
  Listing(std::string entries, std::vector<uint32_t> starts) : entries_(std::move(entries)), starts_(std::move(starts)) {}

  const std::string entries_;
  const std::vector<uint32_t> starts_;  // and the end of all
};
