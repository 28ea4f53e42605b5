// The tables of commands. Timeouts are of the order that LTO-8 drives and mid-size libraries report.
#include "operation.h"

namespace {

constexpr uint32_t promptS = 60;       // answered from memory
constexpr uint32_t transferS = 1500;   // a block, with repositioning and retries
constexpr uint32_t wholeTapeS = 3000;  // end to end of the tape
constexpr uint32_t longEraseS = 16000;
constexpr uint32_t loadS = 900;
constexpr uint32_t moveS = 600;        // across the library
constexpr uint32_t inventoryS = 3600;  // every slot

Operation plain(uint8_t code, uint8_t cdbBytes, uint32_t recommendedS, std::vector<uint8_t> usage) {
  return {code, false, 0, cdbBytes, 0, 0, 0, recommendedS, std::move(usage)};
}

// A command that hands over data: `at` and `bytes` place its allocation length.
Operation query(uint8_t code, uint8_t cdbBytes, uint8_t at, uint8_t bytes, std::vector<uint8_t> usage) {
  return {code, false, 0, cdbBytes, at, bytes, 0, promptS, std::move(usage)};
}

Operation withNominal(uint32_t nominalS, Operation operation) {
  operation.nominalS = nominalS;
  return operation;
}

Operation withServiceAction(uint16_t serviceAction, Operation operation) {
  operation.hasServiceAction = true;
  operation.serviceAction = serviceAction;
  return operation;
}

// SPC-4 commands of drive and changer alike.
Operations primaryOperations() {
  return {
      // TEST UNIT READY, REQUEST SENSE, INQUIRY
      plain(0x00, 6, promptS, {0, 0, 0, 0, 0}),
      query(0x03, 6, 4, 1, {0, 0, 0, 0xff, 0}),
      query(0x12, 6, 3, 2, {0x01, 0xff, 0xff, 0xff, 0}),
      // MODE SELECT(6) and (10), MODE SENSE(6) and (10)
      plain(0x15, 6, promptS, {0x11, 0, 0, 0xff, 0}),
      plain(0x55, 10, promptS, {0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0}),
      query(0x1a, 6, 4, 1, {0x08, 0xff, 0xff, 0xff, 0}),
      query(0x5a, 10, 7, 2, {0x08, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0}),
      // RESERVE(6) and (10), RELEASE(6) and (10)
      plain(0x16, 6, promptS, {0, 0, 0, 0, 0}),
      plain(0x56, 10, promptS, {0, 0, 0, 0, 0, 0, 0, 0, 0}),
      plain(0x17, 6, promptS, {0, 0, 0, 0, 0}),
      plain(0x57, 10, promptS, {0, 0, 0, 0, 0, 0, 0, 0, 0}),
      // SEND DIAGNOSTIC, PREVENT ALLOW MEDIUM REMOVAL
      plain(0x1d, 6, promptS, {0, 0, 0, 0, 0}),
      plain(0x1e, 6, promptS, {0, 0, 0, 0x03, 0}),
      // LOG SELECT, LOG SENSE
      plain(0x4c, 10, promptS, {0x03, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0}),
      query(0x4d, 10, 7, 2, {0, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0}),
      // REPORT LUNS, REPORT SUPPORTED OPERATION CODES
      query(0xa0, 12, 6, 4, {0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}),
      withServiceAction(0x0c, query(0xa3, 12, 6, 4,
                                    {0x1f, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0})),
  };
}

// SSC-4, and SPC-4 for attributes and security protocols.
Operations tapeOperations() {
  return {
      // REWIND, READ BLOCK LIMITS
      withNominal(60, plain(0x01, 6, wholeTapeS, {0x01, 0, 0, 0, 0})),
      query(0x05, 6, 0, 0, {0, 0, 0, 0, 0}),
      // READ(6), WRITE(6), WRITE FILEMARKS(6), ERASE(6)
      plain(0x08, 6, transferS, {0x03, 0xff, 0xff, 0xff, 0}),
      plain(0x0a, 6, transferS, {0x01, 0xff, 0xff, 0xff, 0}),
      plain(0x10, 6, transferS, {0x01, 0xff, 0xff, 0xff, 0}),
      plain(0x19, 6, longEraseS, {0x03, 0, 0, 0, 0}),
      // SPACE(6) and (16)
      withNominal(60, plain(0x11, 6, wholeTapeS, {0x0f, 0xff, 0xff, 0xff, 0})),
      withNominal(60, plain(0x91, 16, wholeTapeS,
                            {0x0f, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})),
      // LOCATE(10) and (16)
      withNominal(60, plain(0x2b, 10, wholeTapeS, {0x07, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0})),
      withNominal(60, plain(0x92, 16, wholeTapeS,
                            {0x3b, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})),
      // LOAD UNLOAD, READ POSITION, REPORT DENSITY SUPPORT
      withNominal(20, plain(0x1b, 6, loadS, {0x01, 0, 0, 0x01, 0})),
      plain(0x34, 10, promptS, {0x1f, 0, 0, 0, 0, 0, 0xff, 0xff, 0}),
      query(0x44, 10, 7, 2, {0x03, 0, 0, 0, 0, 0, 0xff, 0xff, 0}),
      // ALLOW OVERWRITE
      plain(0x82, 16, promptS, {0, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}),
      // READ ATTRIBUTE, WRITE ATTRIBUTE
      query(0x8c, 16, 10, 4, {0x1f, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0}),
      plain(0x8d, 16, promptS, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}),
      // SECURITY PROTOCOL IN and OUT
      query(0xa2, 12, 6, 4, {0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}),
      plain(0xb5, 12, promptS, {0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}),
  };
}

// SMC-3.
Operations mediaChangerOperations() {
  return {
      // INITIALIZE ELEMENT STATUS, the same WITH RANGE, and that again under the code that older changers have
      plain(0x07, 6, inventoryS, {0, 0, 0, 0, 0}),
      plain(0x37, 10, inventoryS, {0x01, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0}),
      plain(0xe7, 10, inventoryS, {0x01, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0}),
      // POSITION TO ELEMENT, MOVE MEDIUM
      plain(0x2b, 10, moveS, {0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x01, 0}),
      withNominal(30, plain(0xa5, 12, moveS, {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x01, 0})),
      // READ ELEMENT STATUS
      query(0xb8, 12, 7, 3, {0x1f, 0xff, 0xff, 0xff, 0xff, 0x03, 0xff, 0xff, 0xff, 0, 0}),
  };
}

Operations join(Operations operations, const Operations &more) {
  operations.insert(operations.end(), more.begin(), more.end());
  return operations;
}

}  // namespace

const Operations &driveOperations() {
  static const Operations operations = join(primaryOperations(), tapeOperations());
  return operations;
}

const Operations &changerOperations() {
  static const Operations operations = join(primaryOperations(), mediaChangerOperations());
  return operations;
}
