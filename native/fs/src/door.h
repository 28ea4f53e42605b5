/**
 * What the parts of the door share: arguments taken apart, results put together.
 *
 * A call answers a number: 0 or what was asked for where it went well, an errno below zero where the kernel refused.
 * Calls whose reply is more than a number answer an object, and such a number where refused. Paths are bytes without a NUL.
 */
#pragma once

#include <errno.h>
#include <napi.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

/** 2^53 - 1: above it a JavaScript number skips integers. */
constexpr double kMaxSafeInteger = 9007199254740991;

inline Napi::Value refused(const Napi::CallbackInfo& info, int error) {
  return Napi::Number::New(info.Env(), -error);
}

/** The answer of a system call that returns a number, or -1 and errno. */
inline Napi::Value answered(const Napi::CallbackInfo& info, long result) {
  return result < 0 ? refused(info, errno) : Napi::Number::New(info.Env(), static_cast<double>(result));
}

/** A whole number from `min` to `max`, both exact as double. */
inline std::optional<int64_t> whole(const Napi::Value& value, double min, double max) {
  if (!value.IsNumber()) return std::nullopt;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= min && number <= max) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

/** A file descriptor, or AT_FDCWD (-100). */
inline std::optional<int> descriptor(const Napi::Value& value) {
  const auto number = whole(value, -100, std::numeric_limits<int>::max());
  if (!number || (*number < 0 && *number != -100)) return std::nullopt;
  return static_cast<int>(*number);
}

inline std::optional<uint32_t> unsigned32(const Napi::Value& value) {
  const auto number = whole(value, 0, std::numeric_limits<uint32_t>::max());
  if (!number) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

template <typename T>
struct Numbers {
  T* data;
  size_t length;
};

/** What is in a typed array of just this type, whatever kind of buffer is behind it: also one shared between threads. */
template <typename T>
std::optional<Numbers<T>> numbers_of(const Napi::Value& value, napi_typedarray_type expected) {
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (!value.IsTypedArray()) return std::nullopt;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok) return std::nullopt;
  if (type != expected) return std::nullopt;
  return Numbers<T>{static_cast<T*>(data), length};
}

struct Bytes {
  const char* data;
  size_t length;
};

/** The bytes of a Uint8Array. */
inline std::optional<Bytes> bytes_of(const Napi::Value& value) {
  const auto numbers = numbers_of<const char>(value, napi_uint8_array);
  if (!numbers) return std::nullopt;
  return Bytes{numbers->data, numbers->length};
}

/** A name or path: bytes without a NUL, perhaps none. */
inline std::optional<std::string> path_of(const Napi::Value& value) {
  const auto bytes = bytes_of(value);
  if (!bytes) return std::nullopt;
  if (bytes->length > 0 && std::memchr(bytes->data, 0, bytes->length) != nullptr) return std::nullopt;
  return std::string(bytes->length > 0 ? bytes->data : "", bytes->length);
}

/** A string of one character a byte (latin1), NULs and all; what is beyond a byte of a character is lost. */
inline std::optional<std::string> latin1_of(const Napi::Value& value) {
  size_t length;
  if (!value.IsString()) return std::nullopt;
  if (napi_get_value_string_latin1(value.Env(), value, nullptr, 0, &length) != napi_ok) return std::nullopt;
  std::string text(length + 1, 0);
  if (napi_get_value_string_latin1(value.Env(), value, text.data(), text.size(), &length) != napi_ok) return std::nullopt;
  text.resize(length);
  return text;
}

/** Calls a system call again that a signal broke off. */
template <typename Call>
auto uninterrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

/**
 * Seconds of a time as a double. Some file systems keep all 64 bits of what somebody made up; as a clock never comes there,
 * what a double cannot count is taken for the last second it can.
 */
inline double seconds_of(int64_t seconds) {
  constexpr auto kLast = static_cast<int64_t>(kMaxSafeInteger);
  return static_cast<double>(std::clamp(seconds, -kLast, kLast));
}

/** An inode number as a double: see directory.cc. */
double inode_number(uint64_t inode);

inline Napi::Value buffer_of(Napi::Env env, const void* data, size_t length) {
  return Napi::Buffer<char>::Copy(env, static_cast<const char*>(data), length);
}

/**
 * A new typed array, filled by `fill` with the address of its first number. Making one fails while a worker is being
 * terminated; then nobody takes the answer either.
 */
template <typename T, typename Fill>
Napi::Value filled_array(const Napi::CallbackInfo& info, napi_typedarray_type type, size_t count, Fill fill) {
  const Napi::Env env = info.Env();
  void* data = nullptr;
  napi_value buffer;
  napi_value array;
  if (napi_create_arraybuffer(env, count * sizeof(T), &data, &buffer) != napi_ok ||
      napi_create_typedarray(env, type, count, buffer, 0, &array) != napi_ok) {
    return refused(info, ECANCELED);
  }
  if (count > 0) fill(static_cast<T*>(data));
  return Napi::Value(env, array);
}

/** A Float64Array. */
template <typename Fill>
Napi::Value doubles_of(const Napi::CallbackInfo& info, size_t count, Fill fill) {
  return filled_array<double>(info, napi_float64_array, count, fill);
}

template <typename T>
Napi::Value numbers_array(const Napi::CallbackInfo& info, napi_typedarray_type type, const std::vector<T>& numbers) {
  return filled_array<T>(info, type, numbers.size(), [&](T* data) { std::copy(numbers.begin(), numbers.end(), data); });
}

/** A string of one character a byte. */
inline Napi::Value latin1_string(const Napi::CallbackInfo& info, const std::string& text) {
  napi_value string;
  if (napi_create_string_latin1(info.Env(), text.data(), text.size(), &string) != napi_ok) return refused(info, ENOMEM);
  return Napi::Value(info.Env(), string);
}

void export_attributes(Napi::Env env, Napi::Object exports);
void export_directory(Napi::Env env, Napi::Object exports);
void export_files(Napi::Env env, Napi::Object exports);
void export_lines(Napi::Env env, Napi::Object exports);
void export_owners(Napi::Env env, Napi::Object exports);
void export_tree(Napi::Env env, Napi::Object exports);
