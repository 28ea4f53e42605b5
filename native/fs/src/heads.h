/**
 * Heads of members written over a frame: what src/archive/member.ts writes for a file of which nothing is unusual, byte for
 * byte (FORMAT.md section 4). A reader writes them where they belong, beside the file's bytes.
 */
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "door.h"

/** A header, a block of records, a header. */
constexpr size_t kFrameBytes = 1536;

/** What many heads have in common. */
struct Frame {
  /** kFrameBytes with owner and mode in their places, all else of the two headers as in every header. */
  const char* bytes;
  /** What the member's name has before the path. */
  std::string prefix;
  /** Behind those of times and path. */
  std::string records;
  /** Of the two headers, their checksums taken as blanks. */
  unsigned first_sum;
  unsigned second_sum;
};

/** { bytes, prefix, records } of each; nothing where one of them is none. */
std::optional<std::vector<Frame>> frames_of(const Napi::Value& value);

/** Whether the records of this name fit their block. */
bool has_room(const Frame& frame, std::string_view path);

/** @param stamp size, mtime, its nanoseconds, ctime, its nanoseconds; whole numbers, the size not negative */
void write_head(char* into, const Frame& frame, std::string_view path, const double* stamp);
