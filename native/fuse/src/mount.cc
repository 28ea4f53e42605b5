#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

extern char** environ;

namespace {

bool is_mounted(const std::string& line) {
  const int file = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  std::string text = "\n";
  char bytes[4096];
  for (;;) {
    const ssize_t count = read(file, bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(bytes, static_cast<size_t>(count));
  }
  close(file);
  return text.find('\n' + line) != std::string::npos;
}

/** Runs a program to its end, saying nothing. */
void run(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int file : {0, 1, 2}) posix_spawn_file_actions_addopen(&actions, file, "/dev/null", O_RDWR, 0);
  pid_t child;
  const int error = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return;
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
}

}  // namespace

void take_away(const Guard& guard) {
  if (guard.line.empty() || !is_mounted(guard.line)) return;
  if (!guard.helper.empty()) return run(guard.helper);
  // Its readers get an error at once, and the mount goes when they do.
  umount2(guard.path.c_str(), MNT_FORCE | UMOUNT_NOFOLLOW);
  if (is_mounted(guard.line)) umount2(guard.path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
}

std::optional<std::pair<int, int>> socket_pair(int type) {
  int sockets[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sockets) < 0) return std::nullopt;
  return std::make_pair(sockets[0], sockets[1]);
}

int receive_file(int socket) {
  char byte;
  iovec piece = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0) return -errno;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int))) return -ENOMSG;
  int file;
  std::memcpy(&file, CMSG_DATA(header), sizeof file);
  return file;
}
