/**
 * Lines of an archive's journal for files of which nothing is unusual, many in one call: byte for byte what
 * src/archive/journal.ts writes for each (FORMAT.md section 5).
 */
#include <string_view>

#include "digits.h"
#include "door.h"

namespace {

/** Of a line: size, mtime, its nanoseconds, ctime, its nanoseconds, device, inode, links, offset in the archive. */
constexpr size_t kNumbers = 9;
constexpr size_t kOffset = 8;
constexpr size_t kHashBytes = 32;
/** What a line takes besides its form, its places and its path: numbers, times, hash, what is between them. */
constexpr size_t kFixedBytes = 256;
/** Of a place but for its copy's name: four numbers and what is between them. */
constexpr size_t kPlaceBytes = 96;
constexpr char kHex[] = "0123456789abcdef";

struct Form {
  std::string kind;  /* TYPE and CHANGE */
  std::string owner; /* MODE, IDS and OWNER */
};

struct Copy {
  std::string name; /* of medium and file */
  uint64_t start_block;
};

struct Lines {
  std::vector<Form> forms;
  Numbers<uint8_t> form_of;
  Numbers<double> numbers;
  Bytes hashes;
  std::string paths;
  std::vector<Copy> copies;
  uint64_t block_bytes;
};

char* write_text(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

char* write_hex(char* at, const char* bytes) {
  for (size_t index = 0; index < kHashBytes; index += 1) {
    const auto byte = static_cast<unsigned char>(bytes[index]);
    at[2 * index] = kHex[byte >> 4];
    at[2 * index + 1] = kHex[byte & 15];
  }
  return at + 2 * kHashBytes;
}

char* write_number(char* at, std::string_view before, double number) {
  return write_decimal(write_text(at, before), static_cast<uint64_t>(number));
}

char* write_places(char* at, const Lines& lines, const double* numbers) {
  const auto offset = static_cast<uint64_t>(numbers[kOffset]);
  bool is_first = true;
  for (const Copy& copy : lines.copies) {
    if (!is_first) at = write_text(at, ",");
    is_first = false;
    at = write_decimal(write_text(at, copy.name), copy.start_block + offset / lines.block_bytes);
    at = write_decimal(write_text(at, "+"), offset % lines.block_bytes);
    at = write_text(write_number(at, "/", numbers[0]), "@0");
  }
  return at;
}

char* write_line(char* at, const Lines& lines, size_t index, std::string_view path) {
  const Form& form = lines.forms[lines.form_of.data[index]];
  const double* numbers = lines.numbers.data + index * kNumbers;
  at = write_number(at, form.kind, numbers[0]);
  at = write_moment(write_text(at, "\t"), numbers + 1);
  at = write_moment(write_text(at, "\t"), numbers + 3);
  at = write_text(write_text(at, "\t"), form.owner);
  at = write_text(write_hex(at, lines.hashes.data + index * kHashBytes), "\t");
  at = write_places(at, lines, numbers);
  at = write_number(at, "\tinode=", numbers[5]);
  at = write_number(at, ",", numbers[6]);
  at = write_number(at, ",", numbers[7]);
  at = write_text(write_text(at, "\t"), path);
  return write_text(at, "\n");
}

size_t line_bytes_max(const Lines& lines, size_t index, size_t path) {
  const Form& form = lines.forms[lines.form_of.data[index]];
  size_t bytes = kFixedBytes + form.kind.size() + form.owner.size() + path;
  for (const Copy& copy : lines.copies) bytes += kPlaceBytes + copy.name.size();
  return bytes;
}

bool is_sound(const Lines& lines) {
  const size_t count = lines.form_of.length;
  if (lines.numbers.length != count * kNumbers || lines.hashes.length != count * kHashBytes) return false;
  const auto names = static_cast<size_t>(std::count(lines.paths.begin(), lines.paths.end(), '\0'));
  if (names != count || (count > 0 && lines.paths.back() != 0)) return false;
  for (size_t index = 0; index < count; index += 1) {
    const double* numbers = lines.numbers.data + index * kNumbers;
    if (lines.form_of.data[index] >= lines.forms.size()) return false;
    if (!is_moment(numbers + 1) || !is_moment(numbers + 3)) return false;
    for (const size_t column : {size_t{0}, size_t{5}, size_t{6}, size_t{7}, kOffset}) {
      if (!is_whole(numbers[column], 0, kMaxSafeInteger)) return false;
    }
  }
  return true;
}

std::optional<std::vector<Form>> forms_of(const Napi::Value& value) {
  if (!value.IsArray()) return std::nullopt;
  const auto array = value.As<Napi::Array>();
  std::vector<Form> forms;
  for (uint32_t index = 0; index < array.Length(); index += 1) {
    const Napi::Value one = array.Get(index);
    if (!one.IsObject()) return std::nullopt;
    auto kind = latin1_of(one.As<Napi::Object>().Get("kind"));
    auto owner = latin1_of(one.As<Napi::Object>().Get("owner"));
    if (!kind || !owner) return std::nullopt;
    forms.push_back({std::move(*kind), std::move(*owner)});
  }
  return forms;
}

std::optional<std::vector<Copy>> copies_of(const Napi::Value& value) {
  if (!value.IsArray()) return std::nullopt;
  const auto array = value.As<Napi::Array>();
  std::vector<Copy> copies;
  for (uint32_t index = 0; index < array.Length(); index += 1) {
    const Napi::Value one = array.Get(index);
    if (!one.IsObject()) return std::nullopt;
    auto name = latin1_of(one.As<Napi::Object>().Get("name"));
    const auto start = whole(one.As<Napi::Object>().Get("startBlock"), 0, kMaxSafeInteger);
    if (!name || !start) return std::nullopt;
    copies.push_back({std::move(*name), static_cast<uint64_t>(*start)});
  }
  return copies;
}

/**
 * writeLines({ forms, formOf, numbers, hashes, paths, copies, blockBytes }, into): one line behind the other, all or, where
 * they may not fit, none: how many bytes, or ENOBUFS.
 */
Napi::Value write_lines(const Napi::CallbackInfo& info) {
  const auto into = numbers_of<char>(info[1], napi_uint8_array);
  if (!info[0].IsObject() || !into) return refused(info, EINVAL);
  const auto batch = info[0].As<Napi::Object>();
  auto forms = forms_of(batch.Get("forms"));
  const auto form_of = numbers_of<uint8_t>(batch.Get("formOf"), napi_uint8_array);
  const auto numbers = numbers_of<double>(batch.Get("numbers"), napi_float64_array);
  const auto hashes = bytes_of(batch.Get("hashes"));
  auto paths = latin1_of(batch.Get("paths"));
  auto copies = copies_of(batch.Get("copies"));
  const auto block_bytes = whole(batch.Get("blockBytes"), 1, kMaxSafeInteger);
  if (!forms || !form_of || !numbers || !hashes || !paths || !copies || !block_bytes) return refused(info, EINVAL);
  const Lines lines = {std::move(*forms),  *form_of, *numbers, *hashes, std::move(*paths), std::move(*copies),
                       static_cast<uint64_t>(*block_bytes)};
  if (!is_sound(lines)) return refused(info, EINVAL);
  char* at = into->data;
  size_t room = into->length;
  const char* next = lines.paths.data();
  for (size_t index = 0; index < lines.form_of.length; index += 1) {
    const std::string_view path(next);
    next += path.size() + 1;
    if (line_bytes_max(lines, index, path.size()) > room) return refused(info, ENOBUFS);
    at = write_line(at, lines, index, path);
    room = into->length - static_cast<size_t>(at - into->data);
  }
  return Napi::Number::New(info.Env(), static_cast<double>(at - into->data));
}

}  // namespace

void export_lines(Napi::Env env, Napi::Object exports) {
  exports.Set("writeLines", Napi::Function::New<write_lines>(env, "writeLines"));
}
