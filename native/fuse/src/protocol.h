/**
 * The kernel's FUSE protocol as far as this door reads or writes it: linux/fuse.h of protocol 7.43. Written down here because the
 * headers of older distributions lack what newer kernels speak. All numbers are of the machine's own byte order.
 */
#pragma once

#include <sys/ioctl.h>

#include <cstdint>

struct InHeader {
  uint32_t length;  // with this header
  uint32_t opcode;
  uint64_t unique;
  uint64_t node;
  uint32_t uid;
  uint32_t gid;
  uint32_t pid;
  uint16_t extension_length;  // in units of 8 bytes
  uint16_t padding;
};
static_assert(sizeof(InHeader) == 40);

struct OutHeader {
  uint32_t length;
  int32_t error;  // 0 or an errno below zero; a notification's code
  uint64_t unique;
};
static_assert(sizeof(OutHeader) == 16);

struct InitIn {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
  uint32_t flags2;  // from here on with kInitExtension only
  uint32_t unused[11];
};
static_assert(sizeof(InitIn) == 64);
/** What kernels before Linux 5.17 send. */
constexpr uint32_t kShortInitBytes = 16;

struct InitOut {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
  uint16_t max_background;
  uint16_t congestion_threshold;
  uint32_t max_write;
  uint32_t time_granularity;
  uint16_t max_pages;
  uint16_t map_alignment;
  uint32_t flags2;
  uint32_t max_stack_depth;
  uint16_t request_timeout;
  uint16_t unused[11];
};
static_assert(sizeof(InitOut) == 64);

constexpr uint32_t kMajor = 7;
/** The first minor that takes all 64 bytes of InitOut. */
constexpr uint32_t kMinorMin = 23;
constexpr uint32_t kInitExtension = 1u << 30;
/** Of flags2: bit 37 of all. */
constexpr uint32_t kPassthrough2 = 1u << 5;

struct ForgetIn {
  uint64_t lookups;
};
static_assert(sizeof(ForgetIn) == 8);

struct ForgetOne {
  uint64_t node;
  uint64_t lookups;
};
static_assert(sizeof(ForgetOne) == 16);

struct BatchForgetIn {
  uint32_t count;
  uint32_t padding;
};
static_assert(sizeof(BatchForgetIn) == 8);

struct ReadIn {
  uint64_t handle;
  uint64_t offset;
  uint32_t size;
  uint32_t read_flags;
  uint64_t lock_owner;
  uint32_t flags;
  uint32_t padding;
};
static_assert(sizeof(ReadIn) == 40);

struct InterruptIn {
  uint64_t unique;
};
static_assert(sizeof(InterruptIn) == 8);

struct InvalidateNodeOut {
  uint64_t node;
  int64_t offset;
  int64_t length;
};
static_assert(sizeof(InvalidateNodeOut) == 24);

struct InvalidateEntryOut {
  uint64_t parent;
  uint32_t name_length;
  uint32_t flags;
};
static_assert(sizeof(InvalidateEntryOut) == 16);

constexpr int32_t kNotifyInvalidateNode = 2;
constexpr int32_t kNotifyInvalidateEntry = 3;

struct BackingMap {
  int32_t file;
  uint32_t flags;
  uint64_t padding;
};
static_assert(sizeof(BackingMap) == 16);

constexpr unsigned long kBackingOpen = _IOW(229, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(229, 2, uint32_t);
static_assert(kBackingOpen == 0x4010e501 && kBackingClose == 0x4004e502);

/** Set in the opcode of a request that JavaScript is only told of. */
constexpr uint32_t kAnswered = 1u << 31;

enum class Opcode : uint32_t {
  kLookup = 1,
  kForget = 2,
  kGetattr = 3,
  kSetattr = 4,
  kReadlink = 5,
  kSymlink = 6,
  kMknod = 8,
  kMkdir = 9,
  kUnlink = 10,
  kRmdir = 11,
  kRename = 12,
  kLink = 13,
  kOpen = 14,
  kRead = 15,
  kWrite = 16,
  kStatfs = 17,
  kRelease = 18,
  kSetxattr = 21,
  kGetxattr = 22,
  kListxattr = 23,
  kRemovexattr = 24,
  kInit = 26,
  kOpendir = 27,
  kReaddir = 28,
  kReleasedir = 29,
  kAccess = 34,
  kCreate = 35,
  kInterrupt = 36,
  kDestroy = 38,
  kIoctl = 39,
  kNotifyReply = 41,
  kBatchForget = 42,
  kFallocate = 43,
  kReaddirplus = 44,
  kRename2 = 45,
  kLseek = 46,
  kCopyFileRange = 47,
  kTmpfile = 51,
  kStatx = 52,
};
