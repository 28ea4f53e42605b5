// Tape data encryption as a host sets it up by SECURITY PROTOCOL IN and OUT (SSC-4 8.5). Blocks are not really ciphered:
// each only remembers its key, which is what decides how a read ends.
#pragma once

#include <memory>

#include "cartridge.h"
#include "command.h"

class Encryption {
 public:
  bool encrypts() const { return encryptionMode_ == 2; }
  bool decrypts() const { return decryptionMode_ >= 2; }
  bool refusesPlainBlocks() const { return decryptionMode_ == 2; }
  // The key set, or one of zeros.
  const std::shared_ptr<const Key> &key() const { return key_; }

  // SECURITY PROTOCOL IN. `next` is the object at the position, null where there is none.
  void report(const Command &command, const TapeObject *next, uint64_t position, Bytes &data) const;
  // SECURITY PROTOCOL OUT.
  void set(const Command &command);

 private:
  void appendCapabilities(Bytes &page) const;
  void appendStatus(Bytes &page) const;
  void appendNextBlock(Bytes &page, const TapeObject *next, uint64_t position) const;

  uint8_t scope_ = 0;           // 0 public, 1 local, 2 all I_T nexus
  uint8_t encryptionMode_ = 0;  // 0 disable, 2 encrypt
  uint8_t decryptionMode_ = 0;  // 0 disable, 2 decrypt, 3 mixed
  uint32_t keyInstance_ = 0;    // grows with each key that is set or cleared
  std::shared_ptr<const Key> key_ = std::make_shared<Key>();
  Bytes keyAssociatedData_;     // unauthenticated: a name for the key
};
