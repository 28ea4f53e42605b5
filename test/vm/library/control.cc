#include "control.h"

#include <cstring>
#include <map>
#include <sstream>

namespace {

constexpr unsigned delayMsMax = 3600 * 1000;
constexpr size_t barcodeBytesMax = 32;  // a volume tag, SMC-3

uint64_t parseNumber(const std::string &text, int base, uint64_t max) {
  size_t used = 0;
  uint64_t value = 0;
  try {
    value = std::stoull(text, &used, base);
  } catch (const std::logic_error &) {
  }
  if (text.empty() || used != text.size() || text[0] == '-' || value > max) throw Refusal("bad number: " + text);
  return value;
}

// The words of a line behind the verb.
class Arguments {
 public:
  explicit Arguments(std::istream &line) {
    for (std::string word; line >> word;) words_.push_back(word);
  }
  size_t count() const { return words_.size(); }
  const std::string &text(size_t index) const {
    if (index >= words_.size()) throw Refusal("too few words");
    return words_[index];
  }
  uint64_t decimal(size_t index, uint64_t max) const { return parseNumber(text(index), 10, max); }
  uint64_t hex(size_t index, uint64_t max) const { return parseNumber(text(index), 16, max); }
  uint16_t element(size_t index) const { return uint16_t(decimal(index, 0xffff)); }
  std::string barcode(size_t index) const {
    if (text(index).size() > barcodeBytesMax) throw Refusal("a barcode has at most 32 characters");
    return text(index);
  }
  LogicalUnit &unit(size_t index, Library &library) const {
    LogicalUnit *unit = library.unit(decimal(index, 0xffff));
    if (!unit) throw Refusal("no such drive");
    return *unit;
  }

 private:
  std::vector<std::string> words_;
};

void planFault(Library &library, const Arguments &words) {
  const std::string &kind = words.text(1);
  if (kind.size() != 1 || !strchr(fault::kinds, kind[0])) throw Refusal("bad kind of command: " + kind);
  const unsigned commandsLeft = unsigned(words.decimal(2, 1000000));
  if (commandsLeft == 0) throw Refusal("commands count from 1");
  Sense sense(SenseKey(words.hex(3, 0x0f)), uint16_t(words.hex(4, 0xff) << 8 | words.hex(5, 0xff)));
  if (words.count() > 6 && words.text(6) != "deferred") throw Refusal("bad word: " + words.text(6));
  sense.deferred = words.count() > 6;
  words.unit(0, library).faults.plan({kind[0], commandsLeft, sense});
}

std::string describeFaults(Library &library) {
  std::string text;
  for (unsigned number = 0; number < library.unitCount(); ++number) {
    text += library.unit(number)->faults.describe(number);
  }
  return text;
}

std::string describeElements(Library &library) {
  std::ostringstream text;
  for (const Element &element : library.changer().elements) {
    const Cartridge *cartridge = element.cartridge.get();
    text << element.address << ' ' << unsigned(element.type) << ' ';
    text << (!cartridge ? "-" : cartridge->barcode.empty() ? "?" : cartridge->barcode);
    if (element.drive) {
      text << (element.drive->isLoaded() ? " loaded" : " unloaded") << " position=" << element.drive->position();
    }
    if (cartridge) text << " blocks=" << cartridge->end() << " used=" << cartridge->usedBytes();
    text << '\n';
  }
  return text.str();
}

struct Verb {
  const char *usage;
  std::function<std::string(Library &, const Arguments &)> run;
};

const std::map<std::string, Verb> &verbs() {
  static const std::string done = "ok\n";
  static const std::map<std::string, Verb> table = {
      {"tapealert", {"DRIVE|0 HEXMASK", [](Library &library, const Arguments &words) {
         words.unit(0, library).tapeAlerts |= words.hex(1, UINT64_MAX);
         return done;
       }}},
      {"fail", {"DRIVE|0 r|w|f|l|L|m NTH KEY ASC ASCQ [deferred]", [](Library &library, const Arguments &words) {
         planFault(library, words);
         return done;
       }}},
      {"faults", {"", [](Library &library, const Arguments &) { return describeFaults(library); }}},
      {"delay", {"DRIVE|0 MS", [](Library &library, const Arguments &words) {
         words.unit(0, library).delayMs = unsigned(words.decimal(1, delayMsMax));
         return done;
       }}},
      {"ua", {"DRIVE|0 ASCASCQ", [](Library &library, const Arguments &words) {
         words.unit(0, library).raise(uint16_t(words.hex(1, 0xffff)));
         return done;
       }}},
      {"swallow", {"DRIVE|0", [](Library &library, const Arguments &words) {
         return words.unit(0, library).swallowAttention() ? done : std::string("none\n");
       }}},
      {"reset", {"DRIVE|0", [](Library &library, const Arguments &words) {
         words.unit(0, library).reset(attention::busReset);
         return done;
       }}},
      {"power", {"DRIVE|0", [](Library &library, const Arguments &words) {
         words.unit(0, library).powerCycle();
         return done;
       }}},
      {"restart", {"", [](Library &library, const Arguments &) {
         library.restart();
         return done;
       }}},
      {"wp", {"BARCODE on|off", [](Library &library, const Arguments &words) {
         const std::string &state = words.text(1);
         if (state != "on" && state != "off") throw Refusal("on or off");
         library.cartridge(words.text(0)).isWriteProtected = state == "on";
         return done;
       }}},
      {"corrupt", {"BARCODE BLOCK", [](Library &library, const Arguments &words) {
         if (!library.cartridge(words.text(0)).corrupt(words.decimal(1, UINT64_MAX))) throw Refusal("no such block");
         return done;
       }}},
      {"relabel", {"BARCODE NEWBARCODE|-", [](Library &library, const Arguments &words) {
         const std::string sticker = words.barcode(1);
         library.cartridge(words.text(0)).barcode = sticker == "-" ? "" : sticker;
         return done;
       }}},
      {"insert", {"ELEMENT BARCODE", [](Library &library, const Arguments &words) {
         library.insert(words.element(0), words.barcode(1));
         return done;
       }}},
      {"remove", {"ELEMENT", [](Library &library, const Arguments &words) {
         library.remove(words.element(0));
         return done;
       }}},
      {"swap", {"ELEMENT ELEMENT", [](Library &library, const Arguments &words) {
         library.swap(words.element(0), words.element(1));
         return done;
       }}},
      {"status", {"", [](Library &library, const Arguments &) { return describeElements(library); }}},
  };
  return table;
}

std::string usage() {
  std::string text;
  for (const auto &[name, verb] : verbs()) text += "  " + name + " " + verb.usage + "\n";
  return text + "  disconnect\n";
}

}  // namespace

std::string control(Library &library, const std::string &line, const std::function<void()> &disconnect) {
  std::istringstream stream(line);
  std::string name;
  stream >> name;
  if (name == "disconnect") {
    disconnect();
    return "ok\n";
  }
  const auto verb = verbs().find(name);
  if (verb == verbs().end()) return "error: no such command; there are\n" + usage();
  try {
    return verb->second.run(library, Arguments(stream));
  } catch (const Refusal &refusal) {
    return std::string("error: ") + refusal.what() + "\n";
  }
}
