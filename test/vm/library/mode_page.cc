#include "mode_page.h"

#include <cassert>

#include "sense.h"

namespace {

constexpr uint8_t codeMask = 0x3f;
constexpr uint8_t subpageFormat = 0x40;  // SPF
constexpr uint8_t allPages = 0x3f;
constexpr uint8_t allSubpages = 0xff;

// Header and length of a page as it stands in a list: page_0 format, or sub_page format with SPF set (SPC-4 7.5.7).
size_t headerBytes(uint8_t first) { return first & subpageFormat ? 4 : 2; }
size_t bodyBytes(const uint8_t *page) { return page[0] & subpageFormat ? get16(page + 2) : page[1]; }

}  // namespace

ModePages::Page ModePages::parse(const Bytes &page) {
  const uint8_t subcode = page[0] & subpageFormat ? page[1] : 0;
  return {uint8_t(page[0] & codeMask), subcode, page, page, Bytes(page.size())};
}

void ModePages::add(const Bytes &bytes, const Bytes &changeable) {
  Page page = parse(bytes);
  assert(headerBytes(bytes[0]) + bodyBytes(bytes.data()) == bytes.size());
  for (size_t index = 0; index < changeable.size(); ++index) page.changeable[index] = changeable[index];
  for (size_t index = 0; index < headerBytes(bytes[0]); ++index) page.changeable[index] = bytes[index];
  pages_.push_back(std::move(page));
}

const uint8_t *ModePages::current(uint8_t code, uint8_t subcode) const {
  for (const Page &page : pages_) {
    if (page.code == code && page.subcode == subcode) return page.current.data();
  }
  assert(false);
  return nullptr;
}

void ModePages::show(uint8_t code, unsigned offset, uint8_t value) {
  for (Page &page : pages_) {
    if (page.code == code && page.subcode == 0) page.current[offset] = value;
  }
}

void ModePages::resetToDefaults() {
  for (Page &page : pages_) page.current = page.defaults;
}

Bytes ModePages::sense(uint8_t code, uint8_t subcode, uint8_t pageControl) const {
  if (pageControl == 3) throw CheckCondition{condition::savingParametersNotSupported};
  Bytes list;
  bool isFound = code == 0 && subcode == 0;
  // Of all pages only subpage 0, or all subpages, can be asked for (SPC-4 table 176).
  const bool isListable = code != allPages || subcode == 0 || subcode == allSubpages;
  for (const Page &page : pages_) {
    if (!isListable || (code != allPages && code != page.code)) continue;
    if (subcode != allSubpages && subcode != page.subcode) continue;
    isFound = true;
    append(list, pageControl == 0 ? page.current : pageControl == 1 ? page.changeable : page.defaults);
  }
  if (!isFound) throw CheckCondition{condition::invalidFieldInCdb};
  return list;
}

void ModePages::select(const uint8_t *list, size_t bytes) {
  std::vector<Page> wanted = pages_;
  while (bytes > 0) {
    const size_t header = headerBytes(list[0]);
    if (bytes < header || bytes < header + bodyBytes(list)) throw CheckCondition{condition::parameterListLengthError};
    const size_t length = header + bodyBytes(list);
    const uint8_t code = list[0] & codeMask, subcode = header == 4 ? list[1] : 0;
    Page *target = nullptr;
    for (Page &page : wanted) {
      if (page.code == code && page.subcode == subcode) target = &page;
    }
    if (!target || target->current.size() != length) throw CheckCondition{condition::invalidFieldInParameterList};
    for (size_t index = header; index < length; ++index) {
      const uint8_t difference = list[index] ^ target->current[index];
      if (difference & ~target->changeable[index]) throw CheckCondition{condition::invalidFieldInParameterList};
      target->current[index] = list[index];
    }
    list += length;
    bytes -= length;
  }
  pages_ = std::move(wanted);
}
