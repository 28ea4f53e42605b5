#include "page-pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

namespace {

/** The longest read that is agreed on, and a header. Users may have 1 MiB (fs.pipe-max-size): they get shorter ones. */
constexpr int kWantedBytes[] = {2 << 20, 1 << 20};

size_t page_bytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

PagePipe::PagePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return;
  out_ = ends[0];
  in_ = ends[1];
  for (const int bytes : kWantedBytes)
    if (fcntl(in_, F_SETPIPE_SZ, bytes) >= 0) break;
  // What it is in fact: a splice into one that is full would wait for nobody.
  const int room = fcntl(in_, F_GETPIPE_SZ);
  pages_ = room > 0 ? static_cast<size_t>(room) / page_bytes() : 0;
}

PagePipe::~PagePipe() {
  if (out_ >= 0) close(out_);
  if (in_ >= 0) close(in_);
}

bool PagePipe::send(int device, const OutHeader& header, int file, uint64_t offset, size_t length) {
  const size_t page = page_bytes();
  // The header takes a place of its own.
  if ((offset % page + length + page - 1) / page + 1 > pages_) return false;
  const size_t whole = sizeof header + length;
  const bool is_sent =
      fill(header, file, offset, length) &&
      splice(out_, nullptr, device, nullptr, whole, 0) == static_cast<ssize_t>(whole);
  if (!is_sent) empty();
  return is_sent;
}

bool PagePipe::fill(const OutHeader& header, int file, uint64_t offset, size_t length) {
  if (write(in_, &header, sizeof header) != static_cast<ssize_t>(sizeof header)) return false;
  off64_t at = static_cast<off64_t>(offset);
  while (length > 0) {
    const ssize_t count = splice(file, &at, in_, nullptr, length, SPLICE_F_NONBLOCK);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    length -= static_cast<size_t>(count);
  }
  return true;
}

void PagePipe::empty() {
  char bytes[4096];
  for (;;) {
    const ssize_t count = read(out_, bytes, sizeof bytes);
    if (count > 0 || (count < 0 && errno == EINTR)) continue;
    return;
  }
}
