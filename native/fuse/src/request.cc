#include "request.h"

#include <errno.h>

#include <cstring>

namespace {

struct Shape {
  size_t body;   // at least so many bytes
  bool is_named; // and a name behind them, ended by its only NUL
};

constexpr uint64_t kRootNode = 1;
constexpr uint64_t kXattrBit = 1ull << 51;

bool begins(const char* name, size_t length, const char* prefix) {
  const size_t prefix_length = std::strlen(prefix);
  return length >= prefix_length && std::memcmp(name, prefix, prefix_length) == 0;
}

/** Bytes, not empty, up to a NUL that is the last one. */
bool is_name(const char* bytes, size_t length) {
  return length > 1 && std::memchr(bytes, 0, length) == bytes + length - 1;
}

Judgement refuse(int error) { return {What::kRefuse, error}; }

/** Whether the body has the shape; the rest has been looked at. */
Judgement shaped(const char* body, size_t length, Shape shape, What what) {
  if (length < shape.body) return refuse(EINVAL);
  if (shape.is_named && !is_name(body + shape.body, length - shape.body)) return refuse(EINVAL);
  return {what, 0};
}

/**
 * Of what the kernel asks for each file of `ls -l` and keeps nothing of the answer, most is not there: a node without the bit has
 * no attributes of the system. Those of the root are asked once a mount; its number has no room for bits.
 */
Judgement judge_getxattr(uint64_t node, const char* body, size_t length) {
  constexpr size_t kSizes = 8;
  const Judgement judgement = shaped(body, length, {kSizes, true}, What::kPass);
  if (judgement.what != What::kPass || node == kRootNode || (node & kXattrBit) != 0) return judgement;
  const char* name = body + kSizes;
  const bool is_systems = begins(name, length - kSizes, "security.") || begins(name, length - kSizes, "system.");
  return is_systems ? refuse(ENODATA) : judgement;
}

Judgement judge_forgets(const char* body, size_t length) {
  if (length < sizeof(BatchForgetIn)) return {What::kDrop, 0};
  const size_t room = (length - sizeof(BatchForgetIn)) / sizeof(ForgetOne);
  return {copied<BatchForgetIn>(body).count <= room ? What::kForget : What::kDrop, 0};
}

Judgement judge_body(Opcode opcode, uint64_t node, const char* body, size_t length) {
  switch (opcode) {
    case Opcode::kLookup:
      return shaped(body, length, {0, true}, What::kPass);
    case Opcode::kReadlink:
    case Opcode::kStatfs:
      return {What::kPass, 0};
    case Opcode::kOpen:
    case Opcode::kOpendir:
    case Opcode::kListxattr:
    case Opcode::kAccess:
      return shaped(body, length, {8, false}, What::kPass);
    case Opcode::kGetattr:
      return shaped(body, length, {16, false}, What::kPass);
    case Opcode::kRelease:
    case Opcode::kReleasedir:
    case Opcode::kLseek:
    case Opcode::kStatx:
      return shaped(body, length, {24, false}, What::kPass);
    case Opcode::kReaddir:
    case Opcode::kReaddirplus:
      return shaped(body, length, {sizeof(ReadIn), false}, What::kPass);
    case Opcode::kRead:
      return shaped(body, length, {sizeof(ReadIn), false}, What::kRead);
    case Opcode::kGetxattr:
      return judge_getxattr(node, body, length);
    case Opcode::kInit:
      return shaped(body, length, {kShortInitBytes, false}, What::kInit);
    case Opcode::kInterrupt:
      return {length < sizeof(InterruptIn) ? What::kDrop : What::kInterrupt, 0};
    case Opcode::kForget:
      return {length < sizeof(ForgetIn) ? What::kDrop : What::kForget, 0};
    case Opcode::kBatchForget:
      return judge_forgets(body, length);
    case Opcode::kNotifyReply:
      return {What::kDrop, 0};
    case Opcode::kDestroy:
      return refuse(0);
    case Opcode::kSetattr:
    case Opcode::kSymlink:
    case Opcode::kMknod:
    case Opcode::kMkdir:
    case Opcode::kUnlink:
    case Opcode::kRmdir:
    case Opcode::kRename:
    case Opcode::kLink:
    case Opcode::kWrite:
    case Opcode::kSetxattr:
    case Opcode::kRemovexattr:
    case Opcode::kCreate:
    case Opcode::kFallocate:
    case Opcode::kRename2:
    case Opcode::kCopyFileRange:
    case Opcode::kTmpfile:
      return refuse(EROFS);
    case Opcode::kIoctl:
      return refuse(ENOTTY);
  }
  // Flush, fsync, locks, bmap, poll and what is not known yet: the kernel does without, and does not ask for it again.
  return refuse(ENOSYS);
}

}  // namespace

Judgement judge(const char* bytes, size_t length) {
  if (length < sizeof(InHeader)) return {What::kDrop, 0};
  const auto header = copied<InHeader>(bytes);
  Judgement judgement = refuse(EINVAL);
  const bool is_whole = header.length == length && header.extension_length == 0;
  const auto opcode = static_cast<Opcode>(header.opcode);
  if (is_whole) judgement = judge_body(opcode, header.node, bytes + sizeof header, length - sizeof header);

  const bool is_passed = judgement.what == What::kPass || judgement.what == What::kRead;
  // We give no such nodes out; as a number of JavaScript this one would be another.
  if (is_passed && header.node > kMaxSafeInteger) return refuse(ESTALE);
  // The kernel would take an answer to nothing for a notification.
  if (judgement.what == What::kRefuse && header.unique == 0) return {What::kDrop, 0};
  return judgement;
}
