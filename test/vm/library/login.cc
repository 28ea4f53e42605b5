#include "login.h"

#include <algorithm>
#include <map>
#include <string>

namespace {

constexpr uint8_t loginResponse = 0x23;
constexpr uint8_t transit = 0x80, stageMask = 0x03, fullFeaturePhase = 3;
constexpr uint16_t sessionTypeNotSupported = 0x0209;
constexpr uint16_t sessionHandle = 1;  // TSIH: there is one session at a time
constexpr uint32_t segmentBytesMin = 512, segmentBytesMax = (1u << 24) - 1;

// Keys answered alike whatever was offered: one connection, no digests, no recovery below the session. The host may send
// the first burst with its command, which saves a round trip a block.
const std::map<std::string, std::string> &fixedAnswers() {
  static const std::map<std::string, std::string> answers = {
      {"AuthMethod", "None"},       {"HeaderDigest", "None"},      {"DataDigest", "None"},
      {"InitialR2T", "Yes"},        {"ImmediateData", "Yes"},      {"MaxOutstandingR2T", "1"},
      {"MaxConnections", "1"},      {"DataPDUInOrder", "Yes"},     {"DataSequenceInOrder", "Yes"},
      {"DefaultTime2Retain", "0"},  {"ErrorRecoveryLevel", "0"},   {"IFMarker", "No"},
      {"OFMarker", "No"},
  };
  return answers;
}

std::map<std::string, std::string> parseKeys(const Bytes &data) {
  std::map<std::string, std::string> keys;
  for (auto at = data.begin(); at != data.end();) {
    const auto end = std::find(at, data.end(), 0);
    const auto equals = std::find(at, end, '=');
    if (equals != end) keys[std::string(at, equals)] = std::string(equals + 1, end);
    at = end == data.end() ? end : end + 1;
  }
  return keys;
}

uint32_t parseLength(const std::string &value) {
  const unsigned long length = strtoul(value.c_str(), nullptr, 0);
  return uint32_t(std::clamp<unsigned long>(length, segmentBytesMin, segmentBytesMax));
}

void appendKey(Bytes &text, const std::string &key, const std::string &value) {
  const std::string pair = key + "=" + value;
  text.insert(text.end(), pair.begin(), pair.end());
  text.push_back(0);
}

Bytes answerKeys(Connection &connection, const std::map<std::string, std::string> &keys) {
  Bytes text;
  for (const auto &[key, value] : keys) {
    const auto fixed = fixedAnswers().find(key);
    if (fixed != fixedAnswers().end()) {
      appendKey(text, key, fixed->second);
    } else if (key == "MaxRecvDataSegmentLength") {
      connection.sendSegmentBytes = parseLength(value);
      appendKey(text, key, std::to_string(Connection::receiveSegmentBytes));
    } else if (key == "MaxBurstLength") {
      connection.burstBytes = parseLength(value);
      appendKey(text, key, std::to_string(connection.burstBytes));
    } else if (key == "FirstBurstLength") {
      appendKey(text, key, std::to_string(std::min(parseLength(value), Connection::receiveSegmentBytes)));
    } else if (key == "DefaultTime2Wait") {  // the greater of both sides' wishes, and ours is 0
      appendKey(text, key, value);
    } else if (key == "TargetName") {
      appendKey(text, "TargetPortalGroupTag", "1");
    }
  }
  return text;
}

}  // namespace

bool answerLogin(Connection &connection, const Pdu &request) {
  const auto keys = parseKeys(request.data);
  connection.expectedCmdSn = request.get(field::cmdSn);
  Header header{};
  header[0] = loginResponse;
  header[field::flags] = request.header[field::flags] & (transit | stageMask << 2 | stageMask);
  std::copy_n(&request.header[field::unit], 8, &header[field::unit]);  // ISID and TSIH
  std::copy_n(&request.header[field::tag], 4, &header[field::tag]);
  const auto sessionType = keys.find("SessionType");
  if (sessionType != keys.end() && sessionType->second != "Normal") {
    put(&header[36], 2, sessionTypeNotSupported);  // Status-Class and Status-Detail
    connection.send(header);
    connection.close();
    return false;
  }
  const Bytes text = answerKeys(connection, keys);
  const bool isLast = (header[field::flags] & transit) && (header[field::flags] & stageMask) == fullFeaturePhase;
  if (isLast) put(&header[14], 2, sessionHandle);
  connection.send(header, text.data(), text.size());
  connection.isLoggedIn = isLast;
  return isLast;
}
