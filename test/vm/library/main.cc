// library [OPTION VALUE]...: a virtual tape library behind an iSCSI target, for tests. Loopback only, tapes in memory.
//
// Prints "listening" when both ports are open: 3260 for iSCSI (LUN 0 the changer, from 1 the drives), 3261 for control.
// Options: --drives --slots --ports --cartridges --worm --size-mb, --barcodes A,B,..., --iscsi-port --control-port.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "control.h"
#include "target.h"

namespace {

struct Options {
  Shape shape;
  uint16_t iscsiPort = 3260;
  uint16_t controlPort = 3261;
};

unsigned parseNumber(const std::string &text, unsigned long max) {
  char *end = nullptr;
  const unsigned long value = strtoul(text.c_str(), &end, 10);
  if (text.empty() || *end || text[0] == '-' || value > max) throw Refusal("bad number: " + text);
  return unsigned(value);
}

Options parseOptions(int count, char **words) {
  constexpr unsigned long countMax = 1u << 20;
  Options options;
  for (int index = 1; index < count; index += 2) {
    const std::string name = words[index];
    if (index + 1 == count) throw Refusal("no value for " + name);
    const std::string value = words[index + 1];
    if (name == "--drives") options.shape.drives = parseNumber(value, countMax);
    else if (name == "--slots") options.shape.slots = parseNumber(value, countMax);
    else if (name == "--ports") options.shape.ports = parseNumber(value, countMax);
    else if (name == "--cartridges") options.shape.cartridges = parseNumber(value, countMax);
    else if (name == "--worm") options.shape.worm = parseNumber(value, countMax);
    else if (name == "--size-mb") options.shape.sizeMb = parseNumber(value, countMax);
    else if (name == "--iscsi-port") options.iscsiPort = uint16_t(parseNumber(value, 65535));
    else if (name == "--control-port") options.controlPort = uint16_t(parseNumber(value, 65535));
    else if (name == "--barcodes") {
      std::istringstream list(value);
      for (std::string barcode; std::getline(list, barcode, ',');) options.shape.barcodes.push_back(barcode);
    } else {
      throw Refusal("no such option: " + name);
    }
  }
  return options;
}

int listenOn(uint16_t port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address) || listen(listener, 4)) {
    throw Refusal("cannot listen on port " + std::to_string(port));
  }
  return listener;
}

// One line in, one answer out. A client that does not finish its line is not waited for.
void answerControl(int client, Library &library, Target &target) {
  constexpr size_t lineBytesMax = 512;
  const timeval patience = {1, 0};
  setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::string line;
  for (char letter; line.size() < lineBytesMax && read(client, &letter, 1) == 1 && letter != '\n';) line += letter;
  const std::string answer = control(library, line, [&] { target.disconnect(); });
  for (size_t sent = 0; sent < answer.size();) {
    const ssize_t part = send(client, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
    if (part <= 0) break;
    sent += size_t(part);
  }
  close(client);
}

[[noreturn]] void serve(const Options &options) {
  Library library(options.shape);
  Target target(library);
  const int iscsi = listenOn(options.iscsiPort), controls = listenOn(options.controlPort);
  puts("listening");
  fflush(stdout);
  for (;;) {
    std::vector<pollfd> polls = {{iscsi, POLLIN, 0}, {controls, POLLIN, 0}};
    for (const int socket : target.sockets()) polls.push_back({socket, POLLIN, 0});
    poll(polls.data(), polls.size(), target.waitMs());
    if (polls[1].revents) {
      const int client = accept4(controls, nullptr, nullptr, SOCK_CLOEXEC);
      if (client >= 0) answerControl(client, library, target);
    }
    if (polls[0].revents) {
      const int client = accept4(iscsi, nullptr, nullptr, SOCK_CLOEXEC);
      if (client >= 0) target.accept(client);
    }
    target.serve();
  }
}

}  // namespace

int main(int count, char **words) {
  try {
    serve(parseOptions(count, words));
  } catch (const Refusal &refusal) {
    fprintf(stderr, "library: %s\n", refusal.what());
    return 2;
  }
}
