// A power cut for one process tree: preloaded, it notes what has been made durable below one directory, and ends the
// process by SIGKILL at the n-th call that writes, syncs or renames there.
//
//   POWER_ROOT   the directory that is watched
//   POWER_IMAGE  where the durable state is kept: files/INODE, and lists/INODE of directories, names and inodes
//   POWER_COUNT  file to which the count of calls is written at exit
//   POWER_CUT_AT the call before which the process ends; 0 never
//
// The model is a strict file system: data survive only by fsync or fdatasync of their file, names only by fsync of their
// directory. Everything else may or may not have reached the disk: who rebuilds the tree decides (image.ts).
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

namespace {

std::string environment(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

struct Plan {
  std::string root = environment("POWER_ROOT");
  std::string image = environment("POWER_IMAGE");
  std::string count = environment("POWER_COUNT");
  long cut_at = atol(environment("POWER_CUT_AT").c_str());
};

const Plan &plan() {
  static const Plan *const the = new Plan();
  return *the;
}

std::atomic<long> calls{0};
std::mutex image_mutex;

template <typename Function> Function real(const char *name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

std::string path_of(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  return length < 0 ? "" : std::string(path, length);
}

bool is_watched(const std::string &path) {
  const std::string &root = plan().root;
  return !root.empty() && path.compare(0, root.size(), root) == 0 &&
         (path.size() == root.size() || path[root.size()] == '/');
}

// One call more; ends the process when it is the one.
void step() {
  long now = ++calls;
  if (plan().cut_at != 0 && now == plan().cut_at) {
    std::lock_guard<std::mutex> wait_for_image(image_mutex);
    kill(getpid(), SIGKILL);
    pause();
  }
}

void write_all(int fd, const char *bytes, size_t length) {
  static auto real_write = real<ssize_t (*)(int, const void *, size_t)>("write");
  while (length > 0) {
    ssize_t done = real_write(fd, bytes, length);
    if (done <= 0) abort();
    bytes += done;
    length -= done;
  }
}

// A file of the image comes whole or not at all.
struct ImageFile {
  std::string path;
  int fd;
  explicit ImageFile(const std::string &name) : path(plan().image + name) {
    fd = open((path + ".new").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) abort();
  }
  ~ImageFile() {
    static auto real_rename = real<int (*)(const char *, const char *)>("rename");
    close(fd);
    real_rename((path + ".new").c_str(), path.c_str());
  }
};

void keep_file(int fd, const struct stat &facts) {
  ImageFile file("/files/" + std::to_string(facts.st_ino));
  static thread_local char buffer[1 << 20];
  off_t at = 0;
  for (;;) {
    ssize_t count = pread(fd, buffer, sizeof buffer, at);
    if (count < 0) {  // opened for writing alone
      int again = open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC);
      if (again < 0) abort();
      keep_file(again, facts);
      close(again);
      return;
    }
    if (count == 0) return;
    write_all(file.fd, buffer, count);
    at += count;
  }
}

void keep_directory(const std::string &path, const struct stat &facts) {
  ImageFile file("/lists/" + std::to_string(facts.st_ino));
  DIR *directory = opendir(path.c_str());
  if (!directory) return;
  while (dirent *entry = readdir(directory)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    std::string line = std::to_string(entry->d_ino) + (entry->d_type == DT_DIR ? " d " : " f ") + entry->d_name + "\n";
    write_all(file.fd, line.data(), line.size());
  }
  closedir(directory);
}

void keep(int fd) {
  std::string path = path_of(fd);
  struct stat facts;
  if (!is_watched(path) || fstat(fd, &facts) != 0) return;
  step();
  std::lock_guard<std::mutex> lock(image_mutex);
  if (S_ISDIR(facts.st_mode)) keep_directory(path, facts);
  else if (S_ISREG(facts.st_mode)) keep_file(fd, facts);
}

void note_path(const char *path) {
  char whole[4096];
  std::string absolute = path[0] == '/' ? path : std::string(getcwd(whole, sizeof whole)) + "/" + path;
  if (is_watched(absolute)) step();
}

void note(int fd) {
  if (is_watched(path_of(fd))) step();
}

__attribute__((destructor)) void tell() {
  if (plan().count.empty()) return;
  int fd = open(plan().count.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::string text = std::to_string(calls.load());
  if (fd >= 0) write_all(fd, text.data(), text.size());
}

}  // namespace

extern "C" {

int fsync(int fd) {
  static auto next = real<int (*)(int)>("fsync");
  int result = next(fd);
  if (result == 0) keep(fd);
  return result;
}

int fdatasync(int fd) {
  static auto next = real<int (*)(int)>("fdatasync");
  int result = next(fd);
  if (result == 0) keep(fd);
  return result;
}

#define NOTED(name, result, arguments, names)            \
  result name arguments {                                \
    static auto next = real<result(*) arguments>(#name); \
    note(fd);                                            \
    return next names;                                   \
  }

NOTED(write, ssize_t, (int fd, const void *bytes, size_t length), (fd, bytes, length))
NOTED(pwrite, ssize_t, (int fd, const void *bytes, size_t length, off_t at), (fd, bytes, length, at))
NOTED(pwrite64, ssize_t, (int fd, const void *bytes, size_t length, off64_t at), (fd, bytes, length, at))
NOTED(writev, ssize_t, (int fd, const iovec *parts, int count), (fd, parts, count))
NOTED(pwritev, ssize_t, (int fd, const iovec *parts, int count, off_t at), (fd, parts, count, at))
NOTED(pwritev64, ssize_t, (int fd, const iovec *parts, int count, off64_t at), (fd, parts, count, at))
NOTED(ftruncate, int, (int fd, off_t length), (fd, length))
NOTED(ftruncate64, int, (int fd, off64_t length), (fd, length))

int rename(const char *from, const char *to) {
  static auto next = real<int (*)(const char *, const char *)>("rename");
  note_path(to);
  return next(from, to);
}

int unlink(const char *path) {
  static auto next = real<int (*)(const char *)>("unlink");
  note_path(path);
  return next(path);
}

}  // extern "C"
