/** Numbers and times as text, as src/archive/digits.ts and moment.ts write them. What they write has room. */
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "door.h"

/** Decimal digits; where they end. */
inline char* write_decimal(char* at, uint64_t value) {
  char digits[20];
  char* first = digits + sizeof digits;
  do {
    first -= 1;
    *first = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value > 0);
  const size_t length = static_cast<size_t>(digits + sizeof digits - first);
  std::memcpy(at, first, length);
  return at + length;
}

/** Half a second before 1970 is `-0.500000000`, though nanoseconds count forward. */
inline char* write_moment(char* at, const double* moment) {
  constexpr uint32_t kBillion = 1'000'000'000;
  auto seconds = static_cast<int64_t>(moment[0]);
  auto rest = static_cast<uint32_t>(moment[1]);
  if (seconds < 0) {
    *at = '-';
    at += 1;
    seconds = rest == 0 ? -seconds : -(seconds + 1);
    rest = rest == 0 ? 0 : kBillion - rest;
  }
  at = write_decimal(at, static_cast<uint64_t>(seconds));
  *at = '.';
  for (size_t place = 9; place > 0; place -= 1) {
    at[place] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  }
  return at + 10;
}

inline bool is_whole(double number, double min, double max) {
  return number >= min && number <= max && number == std::floor(number);
}

/** Seconds and nanoseconds. */
inline bool is_moment(const double* moment) {
  return is_whole(moment[0], -kMaxSafeInteger, kMaxSafeInteger) && is_whole(moment[1], 0, 999'999'999);
}
