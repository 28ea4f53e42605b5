/** What is to be done with a request, seen from its bytes alone. Nothing in a request is believed before it was looked at here. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol.h"

/** 2^53 - 1: above it a JavaScript number skips integers. */
constexpr uint64_t kMaxSafeInteger = 9007199254740991;

enum class What {
  kRefuse,     // answered with the errno
  kDrop,       // takes no answer
  kPass,       // for JavaScript
  kRead,       // for a served file, or for JavaScript
  kInterrupt,  // ends another request
  kForget,     // one node, or many
  kInit,
};

struct Judgement {
  What what;
  int error;  // of kRefuse; 0 is a success that carries nothing
};

/** @param bytes what one read of the device gave */
Judgement judge(const char* bytes, size_t length);

/** True for nodes whose lookups JavaScript counts: the others are never forgotten. */
inline bool is_counted(uint64_t node) { return (node >> 52) == 1; }

/** A copy of a structure at any address. */
template <typename T>
T copied(const char* bytes) {
  T value;
  __builtin_memcpy(&value, bytes, sizeof value);
  return value;
}
