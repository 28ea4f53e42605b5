/** Mounts and unmounts, and how a file of another process is received. Each is one system call, or one and what it takes to read its answer. */
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

/** How a mount is taken away when its environment ends without having done so. */
struct Guard {
  std::string line;                // how its line in /proc/self/mountinfo begins: it is ours as long as that is there
  std::string path;                // for umount2
  std::vector<std::string> helper; // program and arguments, where that is not permitted; else empty
};

/** Forced, then lazily: what it waits for must not be this process. */
void take_away(const Guard& guard);

/** Two connected sockets, or an errno. */
std::optional<std::pair<int, int>> socket_pair(int type);

/** The file that came over the socket, close-on-exec; an errno below zero, ENOMSG where none came. */
int receive_file(int socket);
