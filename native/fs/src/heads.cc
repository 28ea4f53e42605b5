/** Heads of members written over a frame; heads.h says what for. */
#include "heads.h"

#include "digits.h"

namespace {

constexpr size_t kBlock = 512;
constexpr size_t kSecondAt = 2 * kBlock;
constexpr size_t kNameBytes = 100;
constexpr size_t kChecksumAt = 148;
constexpr size_t kChecksumBytes = 8;
constexpr size_t kSizeLast = 134;
constexpr size_t kMtimeLast = 146;
constexpr size_t kTypeAt = 156;
/** The largest number of twelve octal digits with a closing NUL among them. */
constexpr double kOctal12Max = 077777777777;
/** Both times: two digits, ` mtime=`, a sign, 16 digits, a point, nine more, a line's end. */
constexpr size_t kTimesBytesMax = 2 * (2 + 7 + 27 + 1);
constexpr std::string_view kPathKey = " path=";

unsigned header_sum(const char* header) {
  unsigned sum = kChecksumBytes * ' ';
  for (size_t at = 0; at < kBlock; at += 1) {
    if (at < kChecksumAt || at >= kChecksumAt + kChecksumBytes) sum += static_cast<unsigned char>(header[at]);
  }
  return sum;
}

void write_checksum(char* header, unsigned sum) {
  for (size_t last = kChecksumAt + 6; last > kChecksumAt; last -= 1) {
    header[last - 1] = static_cast<char>('0' + (sum & 7));
    sum >>= 3;
  }
}

/** Octal digits over zeros that stand there, the last of them at `last`; what the sum of the bytes grows by. */
unsigned write_octal(char* last, uint64_t value) {
  unsigned sum = 0;
  for (; value > 0; value >>= 3, last -= 1) {
    *last = static_cast<char>('0' + (value & 7));
    sum += value & 7;
  }
  return sum;
}

/** Of any moment the record's length has two digits. */
char* write_time(char* at, std::string_view key, const double* moment) {
  char* text = at + 2;
  std::memcpy(text, key.data(), key.size());
  char* end = write_moment(text + key.size(), moment);
  *end = '\n';
  write_decimal(at, static_cast<uint64_t>(end + 1 - at));
  return end + 1;
}

size_t digits_of(size_t value) {
  size_t count = 1;
  for (; value >= 10; value /= 10) count += 1;
  return count;
}

/** Its own digits are part of a record's length. */
size_t path_record_bytes(size_t name) {
  const size_t bare = kPathKey.size() + name + 1;
  const size_t length = bare + digits_of(bare);
  return digits_of(length) > digits_of(bare) ? bare + digits_of(length) : length;
}

/** Prefix and path one behind the other. */
char* write_name(char* at, const Frame& frame, std::string_view path) {
  std::memcpy(at, frame.prefix.data(), frame.prefix.size());
  std::memcpy(at + frame.prefix.size(), path.data(), path.size());
  return at + frame.prefix.size() + path.size();
}

char* write_path(char* at, const Frame& frame, std::string_view path) {
  char* text = write_decimal(at, path_record_bytes(frame.prefix.size() + path.size()));
  std::memcpy(text, kPathKey.data(), kPathKey.size());
  char* end = write_name(text + kPathKey.size(), frame, path);
  *end = '\n';
  return end + 1;
}

/** The name as the header has it, cut where its field ends, without a slash there; the sum of its bytes. */
unsigned write_short_name(char* at, const Frame& frame, std::string_view path) {
  const size_t prefix = std::min(frame.prefix.size(), kNameBytes);
  const size_t rest = std::min(path.size(), kNameBytes - prefix);
  std::memcpy(at, frame.prefix.data(), prefix);
  std::memcpy(at + prefix, path.data(), rest);
  size_t length = prefix + rest;
  if (frame.prefix.size() + path.size() > kNameBytes) {
    for (; length > 1 && at[length - 1] == '/'; length -= 1) at[length - 1] = 0;
  }
  unsigned sum = 0;
  for (size_t index = 0; index < length; index += 1) sum += static_cast<unsigned char>(at[index]);
  return sum;
}

std::optional<Frame> frame_of(const Napi::Value& value) {
  if (!value.IsObject()) return std::nullopt;
  const auto object = value.As<Napi::Object>();
  const auto bytes = bytes_of(object.Get("bytes"));
  auto prefix = latin1_of(object.Get("prefix"));
  auto records = latin1_of(object.Get("records"));
  if (!bytes || bytes->length != kFrameBytes || !prefix || !records) return std::nullopt;
  const unsigned first = header_sum(bytes->data);
  const unsigned second = header_sum(bytes->data + kSecondAt);
  return Frame{bytes->data, std::move(*prefix), std::move(*records), first, second};
}

}  // namespace

std::optional<std::vector<Frame>> frames_of(const Napi::Value& value) {
  if (!value.IsArray()) return std::nullopt;
  const auto array = value.As<Napi::Array>();
  std::vector<Frame> frames;
  for (uint32_t index = 0; index < array.Length(); index += 1) {
    auto frame = frame_of(array.Get(index));
    if (!frame) return std::nullopt;
    frames.push_back(std::move(*frame));
  }
  return frames;
}

bool has_room(const Frame& frame, std::string_view path) {
  const size_t name = frame.prefix.size() + path.size();
  return kTimesBytesMax + path_record_bytes(name) + frame.records.size() <= kBlock;
}

void write_head(char* into, const Frame& frame, std::string_view path, const double* stamp) {
  std::memcpy(into, frame.bytes, kFrameBytes);
  char* header = into + kSecondAt;
  unsigned sum = frame.second_sum + write_short_name(header, frame, path);
  sum += write_octal(header + kSizeLast, static_cast<uint64_t>(stamp[0]));
  const bool is_octal = stamp[1] >= 0 && stamp[1] <= kOctal12Max;
  sum += write_octal(header + kMtimeLast, is_octal ? static_cast<uint64_t>(stamp[1]) : 0);
  header[kTypeAt] = '0';
  write_checksum(header, sum + '0');

  char* end = write_time(into + kBlock, " mtime=", stamp + 1);
  end = write_time(end, " ctime=", stamp + 3);
  if (frame.prefix.size() + path.size() > kNameBytes) end = write_path(end, frame, path);
  std::memcpy(end, frame.records.data(), frame.records.size());
  end += frame.records.size();
  write_checksum(into, frame.first_sum + write_octal(into + kSizeLast, static_cast<uint64_t>(end - into - kBlock)));
}
