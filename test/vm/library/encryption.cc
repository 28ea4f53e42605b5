#include "encryption.h"

#include <algorithm>

namespace {

constexpr uint8_t protocolInformation = 0x00, protocolTape = 0x20;
constexpr uint16_t setDataEncryption = 0x0010;
constexpr uint8_t algorithmIndex = 1;
constexpr uint32_t aes256Gcm = 0x00010014;  // INCITS T11 algorithm code
constexpr uint16_t keyBytes = 32, unauthenticatedBytesMax = 32;
constexpr size_t keyAt = 20;  // behind the fixed part of the Set Data Encryption page

}  // namespace

void Encryption::appendCapabilities(Bytes &page) const {
  page.push_back(0x01);  // EXTDECC 0, CFG_P 1: no external control
  page.resize(16);
  page.push_back(algorithmIndex);
  page.push_back(0);
  append(page, 2, 20);                 // descriptor length
  page.push_back(0x80 | 0x3a);         // AVFMV, MAC_KAD, DELB_C, DECRYPT_C and ENCRYPT_C in hardware
  page.push_back(0x10 | 0x0c);         // AVFCLP, NONCE_C, VCELB_C, UKADF
  append(page, 2, unauthenticatedBytesMax);
  append(page, 2, 12);                 // authenticated key-associated data at most
  append(page, 2, keyBytes);
  page.resize(page.size() + 8);
  append(page, 4, aes256Gcm);
}

void Encryption::appendStatus(Bytes &page) const {
  const bool hasKey = encryptionMode_ || decryptionMode_;
  page.push_back(uint8_t(scope_ << 5 | (hasKey ? 2 : 0)));  // nexus scope, key scope
  page.push_back(encryptionMode_);
  page.push_back(decryptionMode_);
  page.push_back(hasKey ? algorithmIndex : 0);
  append(page, 4, keyInstance_);
  page.push_back(0x01);
  page.resize(page.size() + 11);
  if (keyAssociatedData_.empty()) return;
  append(page, 2, 0);  // type 0: unauthenticated
  append(page, 2, keyAssociatedData_.size());
  append(page, keyAssociatedData_);
}

void Encryption::appendNextBlock(Bytes &page, const TapeObject *next, uint64_t position) const {
  // ENCRYPTION STATUS, SSC-4 table 159.
  constexpr uint8_t noBlock = 2, notEncrypted = 3, decryptable = 5, notDecryptable = 6;
  uint8_t status = noBlock;
  if (next && next->key) {
    status = decrypts() && *next->key == *key_ ? decryptable : notDecryptable;
  } else if (next && !next->isFilemark) {
    status = notEncrypted;
  }
  append(page, 8, position);
  page.push_back(status);
  page.push_back(next && next->key ? algorithmIndex : 0);
  append(page, 2, 0);
}

void Encryption::report(const Command &command, const TapeObject *next, uint64_t position, Bytes &data) const {
  const uint8_t protocol = command.cdb[1];
  const uint16_t page = get16(command.at(2));
  if (protocol == protocolInformation) {
    data = page == 0 ? Bytes{0, 0, 0, 0, 0, 0, 0, 2, protocolInformation, protocolTape} : Bytes{0, 0, 0, 0};
    return;
  }
  if (protocol != protocolTape) throw CheckCondition{condition::invalidFieldInCdb};
  Bytes body;
  switch (page) {
    case 0x0000:  // pages for IN
      for (const uint16_t known : {0x00, 0x01, 0x10, 0x11, 0x12, 0x20, 0x21}) append(body, 2, known);
      break;
    case 0x0001: append(body, 2, setDataEncryption); break;  // pages for OUT
    case 0x0010: appendCapabilities(body); break;
    case 0x0011: append(body, 2, 0); break;                  // key formats: plain text
    case 0x0012: append(body, 8, 0x0100000100000000); append(body, 4, 0); break;  // management capabilities
    case 0x0020: appendStatus(body); break;
    case 0x0021: appendNextBlock(body, next, position); break;
    default: throw CheckCondition{condition::invalidFieldInCdb};
  }
  append(data, 2, page);
  append(data, 2, body.size());
  append(data, body);
}

void Encryption::set(const Command &command) {
  const Bytes &list = command.dataOut;
  if (command.cdb[1] != protocolTape || get16(command.at(2)) != setDataEncryption || list.size() < keyAt) {
    throw CheckCondition{condition::invalidFieldInCdb};
  }
  const uint8_t encryptionMode = list[6], decryptionMode = list[7];
  const size_t length = get16(&list[18]);
  const bool needsKey = encryptionMode == 2 || decryptionMode >= 2;
  const bool hasKey = length == keyBytes && keyAt + length <= list.size();
  if (needsKey && (!hasKey || list[8] != algorithmIndex)) throw CheckCondition{condition::invalidFieldInParameterList};
  scope_ = list[4] >> 5;
  encryptionMode_ = encryptionMode == 2 ? 2 : 0;
  decryptionMode_ = decryptionMode;
  ++keyInstance_;
  keyAssociatedData_.clear();
  auto key = std::make_shared<Key>();
  if (hasKey) std::copy_n(list.begin() + keyAt, size_t(keyBytes), key->begin());
  key_ = std::move(key);
  if (!hasKey) return;
  // Key-associated data descriptors: type, reserved, length, data.
  for (size_t at = keyAt + keyBytes; at + 4 <= list.size();) {
    const size_t bytes = get16(&list[at + 2]);
    if (bytes > list.size() - at - 4) break;
    if (list[at] == 0 && bytes <= unauthenticatedBytesMax) {
      keyAssociatedData_.assign(list.begin() + at + 4, list.begin() + at + 4 + bytes);
    }
    at += 4 + bytes;
  }
}
