/** JavaScript's arguments taken apart. What is wrong is answered with EINVAL by those who asked. */
#pragma once

#include <napi.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "request.h"

/** A whole number from 0 to `max`, which is exact as double. */
inline std::optional<uint64_t> whole(const Napi::Value& value, uint64_t max) {
  if (!value.IsNumber()) return std::nullopt;
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= static_cast<double>(max)) || number != std::floor(number)) return std::nullopt;
  return static_cast<uint64_t>(number);
}

inline std::optional<uint64_t> safe_integer(const Napi::Value& value) { return whole(value, kMaxSafeInteger); }

inline std::optional<int> descriptor(const Napi::Value& value) {
  const auto number = whole(value, INT32_MAX);
  if (!number) return std::nullopt;
  return static_cast<int>(*number);
}

struct Bytes {
  const char* data;
  size_t length;
};

/** The bytes of a Uint8Array. */
inline std::optional<Bytes> bytes_of(const Napi::Value& value) {
  if (!value.IsTypedArray()) return std::nullopt;
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok) return std::nullopt;
  if (type != napi_uint8_array) return std::nullopt;
  return Bytes{static_cast<const char*>(data), length};
}

/** A path or its like: bytes without a NUL. */
inline std::optional<std::string> text_of(const Napi::Value& value) {
  const auto bytes = bytes_of(value);
  if (!bytes || (bytes->length > 0 && std::memchr(bytes->data, 0, bytes->length) != nullptr)) return std::nullopt;
  return std::string(bytes->length > 0 ? bytes->data : "", bytes->length);
}

inline std::optional<std::vector<std::string>> texts_of(const Napi::Value& value) {
  if (!value.IsArray()) return std::nullopt;
  const auto array = value.As<Napi::Array>();
  std::vector<std::string> texts;
  for (uint32_t index = 0; index < array.Length(); ++index) {
    auto text = text_of(array.Get(index));
    if (!text) return std::nullopt;
    texts.push_back(std::move(*text));
  }
  return texts;
}

inline Napi::Value number(const Napi::CallbackInfo& info, int64_t value) {
  return Napi::Number::New(info.Env(), static_cast<double>(value));
}

inline Napi::Value refused(const Napi::CallbackInfo& info, int error) { return number(info, -error); }
