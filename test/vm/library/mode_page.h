// Mode pages: their current, default and changeable values (SPC-4 7.5), free of who owns them.
#pragma once

#include "bytes.h"

class ModePages {
 public:
  // `page` as MODE SENSE sends it, with its header. `changeable` has a 1 for each bit that MODE SELECT may set; it is
  // filled with zeros to the length of the page.
  void add(const Bytes &page, const Bytes &changeable = {});

  // The current bytes of a page that was added, header and all.
  const uint8_t *current(uint8_t page, uint8_t subpage = 0) const;
  // Sets a byte that shows a state of the device, in a page of subpage 0.
  void show(uint8_t page, unsigned offset, uint8_t value);

  void resetToDefaults();

  // PAGE CONTROL of MODE SENSE: 0 current, 1 changeable, 2 default.
  // Throws CheckCondition for a page that is not there; page 0 is the empty list.
  Bytes sense(uint8_t page, uint8_t subpage, uint8_t pageControl) const;

  // Checks the pages of a MODE SELECT parameter list and takes over all of them, or throws and leaves all as they were.
  void select(const uint8_t *list, size_t bytes);

 private:
  struct Page {
    uint8_t code;
    uint8_t subcode;
    Bytes current;
    Bytes defaults;
    Bytes changeable;
  };
  static Page parse(const Bytes &page);
  std::vector<Page> pages_;  // in ascending order
};
