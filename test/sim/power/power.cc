// A power cut for one process: preloaded, it notes what has been made durable below one directory, and ends the process
// by SIGKILL before the n-th call that writes, syncs, makes, renames or removes something there.
//
//   POWER_ROOT   the directory that is watched
//   POWER_TRACE  gets a line for each such call: its number, its name, the path below the root
//   POWER_CUT_AT the call before which the process ends; 0 never
//   POWER_IMAGE  where the durable state is kept: files/INODE, and lists/INODE of directories, names and inodes; left
//                out where only the process ends, and the page cache survives
//   POWER_BOOT   a file that is read in place of the kernel's boot id, which a power cut changes
//
// The model is a strict file system: data survive only by fsync or fdatasync of their file, names only by fsync of their
// directory, or both by syncfs. Everything else may or may not have reached the disk: who rebuilds the tree decides (image.ts). A sync counts
// when it has returned; one that is cut counts for nothing. Writes through a mapping are not seen: SQLite maps nothing but
// its -shm, which no power cut is expected to leave.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
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
  std::string trace = environment("POWER_TRACE");
  std::string boot = environment("POWER_BOOT");
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
  if (fd == AT_FDCWD) {
    char here[4096];
    return getcwd(here, sizeof here) ? here : "";
  }
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

void write_all(int fd, const char *bytes, size_t length) {
  static auto real_write = real<ssize_t (*)(int, const void *, size_t)>("write");
  while (length > 0) {
    ssize_t done = real_write(fd, bytes, length);
    if (done <= 0) abort();
    bytes += done;
    length -= done;
  }
}

int open_really(const std::string &path, int flags) {
  static auto real_open = real<int (*)(const char *, int, ...)>("open64");
  int fd = real_open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0) abort();
  return fd;
}

// One call more; ends the process when it is the one.
void step(const char *name, const std::string &path) {
  static const int trace = plan().trace.empty() ? -1 : open_really(plan().trace, O_WRONLY | O_CREAT | O_APPEND);
  long now = ++calls;
  if (trace >= 0) {
    std::string line = std::to_string(now) + ' ' + name + ' ' + path.substr(plan().root.size()) + '\n';
    write_all(trace, line.data(), line.size());
  }
  if (plan().cut_at != 0 && now >= plan().cut_at) {
    std::lock_guard<std::mutex> wait_for_image(image_mutex);
    kill(getpid(), SIGKILL);
    pause();
  }
}

// A file of the image comes whole or not at all.
struct ImageFile {
  std::string path;
  int fd;
  explicit ImageFile(const std::string &name) : path(plan().image + name) {
    fd = open_really(path + ".new", O_WRONLY | O_CREAT | O_TRUNC);
  }
  ~ImageFile() {
    static auto real_rename = real<int (*)(const char *, const char *)>("rename");
    close(fd);
    real_rename((path + ".new").c_str(), path.c_str());
  }
};

// With the mutex held.
void keep_file(int fd, const struct stat &facts) {
  ImageFile file("/files/" + std::to_string(facts.st_ino));
  // Not of the thread: some of the runtime's have the smallest stack there is.
  static char buffer[1 << 20];
  off_t at = 0;
  for (;;) {
    ssize_t count = pread(fd, buffer, sizeof buffer, at);
    if (count < 0) {  // opened for writing alone
      int again = open_really("/proc/self/fd/" + std::to_string(fd), O_RDONLY);
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
  if (!directory) abort();
  while (dirent *entry = readdir(directory)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    std::string line = std::to_string(entry->d_ino) + (entry->d_type == DT_DIR ? " d " : " f ") + entry->d_name + "\n";
    write_all(file.fd, line.data(), line.size());
  }
  closedir(directory);
}

// All that is below, as it is now: its file system has been synced.
void keep_tree(const std::string &path) {
  struct stat facts;
  if (stat(path.c_str(), &facts) != 0) abort();
  if (S_ISREG(facts.st_mode)) {
    int fd = open_really(path, O_RDONLY);
    keep_file(fd, facts);
    close(fd);
    return;
  }
  keep_directory(path, facts);
  DIR *directory = opendir(path.c_str());
  if (!directory) abort();
  while (dirent *entry = readdir(directory)) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (entry->d_type == DT_DIR || entry->d_type == DT_REG) keep_tree(path + "/" + entry->d_name);
  }
  closedir(directory);
}

void keep(const char *name, int fd) {
  std::string path = path_of(fd);
  struct stat facts;
  if (!is_watched(path) || fstat(fd, &facts) != 0) return;
  step(name, path);
  if (plan().image.empty()) return;
  std::lock_guard<std::mutex> lock(image_mutex);
  if (S_ISDIR(facts.st_mode)) keep_directory(path, facts);
  else if (S_ISREG(facts.st_mode)) keep_file(fd, facts);
}

void note_path(const char *name, int directory, const char *path) {
  std::string absolute = path[0] == '/' ? path : path_of(directory) + "/" + path;
  if (is_watched(absolute)) step(name, absolute);
}

void note(const char *name, int fd) {
  std::string path = path_of(fd);
  if (is_watched(path)) step(name, path);
}

const char *redirected(const char *path) {
  bool is_boot_id = !plan().boot.empty() && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0;
  return is_boot_id ? plan().boot.c_str() : path;
}

}  // namespace

extern "C" {

#define SYNCED(name)                           \
  int name(int fd) {                           \
    static auto next = real<int (*)(int)>(#name); \
    int result = next(fd);                     \
    if (result == 0) keep(#name, fd);          \
    return result;                             \
  }

SYNCED(fsync)
SYNCED(fdatasync)

int syncfs(int fd) {
  static auto next = real<int (*)(int)>("syncfs");
  int result = next(fd);
  std::string path = path_of(fd);
  if (result != 0 || !is_watched(path)) return result;
  step("syncfs", path);
  if (plan().image.empty()) return result;
  std::lock_guard<std::mutex> lock(image_mutex);
  keep_tree(plan().root);
  return result;
}

#define NOTED(name, result, arguments, names)            \
  result name arguments {                                \
    static auto next = real<result(*) arguments>(#name); \
    note(#name, fd);                                     \
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

#define NAMED(name, directory, path, arguments, names) \
  int name arguments {                                 \
    static auto next = real<int(*) arguments>(#name);  \
    note_path(#name, directory, path);                 \
    return next names;                                 \
  }

NAMED(rename, AT_FDCWD, to, (const char *from, const char *to), (from, to))
NAMED(renameat, to_fd, to, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to))
NAMED(renameat2, to_fd, to, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
      (from_fd, from, to_fd, to, flags))
NAMED(unlink, AT_FDCWD, path, (const char *path), (path))
NAMED(unlinkat, fd, path, (int fd, const char *path, int flags), (fd, path, flags))
NAMED(rmdir, AT_FDCWD, path, (const char *path), (path))
NAMED(mkdir, AT_FDCWD, path, (const char *path, mode_t mode), (path, mode))
NAMED(mkdirat, fd, path, (int fd, const char *path, mode_t mode), (fd, path, mode))

// Opening makes a name, or empties a file.
#define OPENED(name)                                                  \
  int name(const char *path, int flags, ...) {                        \
    static auto next = real<int (*)(const char *, int, ...)>(#name);  \
    va_list rest;                                                     \
    va_start(rest, flags);                                            \
    mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;       \
    va_end(rest);                                                     \
    if (flags & (O_CREAT | O_TRUNC)) note_path(#name, AT_FDCWD, path);          \
    return next(redirected(path), flags, mode);                       \
  }

OPENED(open)
OPENED(open64)

}  // extern "C"
