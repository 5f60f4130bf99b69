/*
 * Records what a process and its children do to the files under one folder: each write, each change of a
 * name, and each time the kernel has answered that bytes are on the disk. Loaded with LD_PRELOAD. From the
 * record, disk.ts makes the disk as a power cut may leave it.
 *
 *   POWER_CUT_ROOT   the folder, absolute and without links
 *   POWER_CUT_LOG    the file of the record, outside that folder
 *
 * A record is a header of 32 bytes in the machine's order, then two paths and data:
 *   u32 length of all, u32 operation, u64 inode, i64 offset, u32 length of the first path, u32 of the second
 * It is written after the operation has succeeded and before the caller hears of it, with one append: what a
 * process has been told is always in the record.
 *
 * Memory maps are not recorded: SQLite maps its index of the write-ahead log, which it builds anew.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SIZE, SYNC, NAME, RENAME, EXCHANGE, UNLINK, MKDIR, RMDIR };

struct header {
  uint32_t length, operation;
  uint64_t inode;
  int64_t offset;
  uint32_t first, second;
};

static char root[PATH_MAX];
static size_t root_length;
static int record = -1;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
  const char *folder = getenv("POWER_CUT_ROOT"), *file = getenv("POWER_CUT_LOG");
  if (!folder || !file || strlen(folder) >= sizeof root) return;
  strcpy(root, folder);
  root_length = strlen(root);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  /* High, where no program that counts its descriptors finds it. */
  record = fd < 0 ? -1 : (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
  if (fd >= 0) syscall(SYS_close, fd);
}

static int inside(const char *path) {
  return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

static void append(uint32_t operation, uint64_t inode, int64_t offset, const char *first, const char *second,
                   const struct iovec *data, int parts, size_t length) {
  struct header header = {0, operation, inode, offset, first ? strlen(first) : 0, second ? strlen(second) : 0};
  struct iovec all[64] = {{&header, sizeof header}, {(void *)first, header.first}, {(void *)second, header.second}};
  int count = 3;
  size_t left = length;
  for (int i = 0; i < parts && left > 0 && count < 64; i++) {
    size_t here = data[i].iov_len < left ? data[i].iov_len : left;
    all[count++] = (struct iovec){data[i].iov_base, here};
    left -= here;
  }
  header.length = sizeof header + header.first + header.second + (length - left);
  /* A record that is cut short would make nonsense of all that follow. */
  if (left > 0 || syscall(SYS_writev, record, all, count) != (long)header.length) abort();
}

/* Whether the descriptor is of a file or folder under the root; its inode. */
static int tracked(int fd, uint64_t *inode) {
  char link[64], path[PATH_MAX];
  struct stat found;
  if (record < 0 || fd < 0 || fstat(fd, &found) != 0) return 0;
  if (!S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  *inode = found.st_ino;
  return inside(path);
}

/* The absolute path of a name, if it is under the root. */
static int absolute(int folder, const char *path, char *into) {
  if (record < 0 || !path) return 0;
  if (path[0] == '/') {
    /* A file that was opened is named by its descriptor, too. */
    if (strncmp(path, "/proc/self/fd/", 14) == 0) {
      char own[64];
      size_t digits = strspn(path + 14, "0123456789");
      snprintf(own, sizeof own, "/proc/self/fd/%.*s", (int)digits, path + 14);
      ssize_t length = readlink(own, into, PATH_MAX - 1);
      if (length < 0) return 0;
      into[length] = 0;
      strncat(into, path + 14 + digits, PATH_MAX - 1 - length);
    } else {
      strncpy(into, path, PATH_MAX - 1);
      into[PATH_MAX - 1] = 0;
    }
  } else {
    char link[64];
    if (folder == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, into, PATH_MAX - 1);
    if (length < 0) return 0;
    snprintf(into + length, PATH_MAX - length, "/%s", path);
  }
  return inside(into);
}

static void named(const char *path) {
  struct stat found;
  int kept = errno;
  if (lstat(path, &found) == 0 && S_ISREG(found.st_mode)) append(NAME, found.st_ino, found.st_size, path, 0, 0, 0, 0);
  errno = kept;
}

static int opened(int fd, int folder, const char *path, int flags) {
  char full[PATH_MAX];
  uint64_t inode;
  int kept = errno;
  if (fd >= 0 && (flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE && absolute(folder, path, full)) {
    if (flags & O_CREAT) named(full);
    if ((flags & O_TRUNC) && tracked(fd, &inode)) append(SIZE, inode, 0, 0, 0, 0, 0, 0);
  }
  errno = kept;
  return fd;
}

#define MODE(flags) \
  mode_t mode = 0; \
  if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

int open(const char *path, int flags, ...) {
  MODE(flags)
  return opened(NEXT(open)(path, flags, mode), AT_FDCWD, path, flags);
}
int open64(const char *path, int flags, ...) {
  MODE(flags)
  return opened(NEXT(open64)(path, flags, mode), AT_FDCWD, path, flags);
}
int openat(int folder, const char *path, int flags, ...) {
  MODE(flags)
  return opened(NEXT(openat)(folder, path, flags, mode), folder, path, flags);
}
int openat64(int folder, const char *path, int flags, ...) {
  MODE(flags)
  return opened(NEXT(openat64)(folder, path, flags, mode), folder, path, flags);
}
int creat(const char *path, mode_t mode) {
  return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *path, mode_t mode) {
  return open64(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* `offset` is where the bytes went; negative: before the descriptor's position, where it is now. */
static ssize_t written(ssize_t count, int fd, const struct iovec *data, int parts, int64_t offset) {
  uint64_t inode;
  int kept = errno;
  if (count > 0 && tracked(fd, &inode)) {
    int64_t at = offset >= 0 ? offset : (int64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) - count;
    append(WRITE, inode, at, 0, 0, data, parts, count);
  }
  errno = kept;
  return count;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  struct iovec data = {(void *)bytes, length};
  return written(NEXT(write)(fd, bytes, length), fd, &data, 1, -1);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  struct iovec data = {(void *)bytes, length};
  return written(NEXT(pwrite)(fd, bytes, length, offset), fd, &data, 1, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  struct iovec data = {(void *)bytes, length};
  return written(NEXT(pwrite64)(fd, bytes, length, offset), fd, &data, 1, offset);
}
ssize_t writev(int fd, const struct iovec *data, int parts) {
  return written(NEXT(writev)(fd, data, parts), fd, data, parts, -1);
}
ssize_t pwritev(int fd, const struct iovec *data, int parts, off_t offset) {
  return written(NEXT(pwritev)(fd, data, parts, offset), fd, data, parts, offset);
}
ssize_t pwritev64(int fd, const struct iovec *data, int parts, off64_t offset) {
  return written(NEXT(pwritev64)(fd, data, parts, offset), fd, data, parts, offset);
}

static int sized(int result, int fd, int64_t size) {
  uint64_t inode;
  int kept = errno;
  if (result == 0 && tracked(fd, &inode)) append(SIZE, inode, size, 0, 0, 0, 0, 0);
  errno = kept;
  return result;
}
int ftruncate(int fd, off_t size) {
  return sized(NEXT(ftruncate)(fd, size), fd, size);
}
int ftruncate64(int fd, off64_t size) {
  return sized(NEXT(ftruncate64)(fd, size), fd, size);
}
/* Only makes room: the size grows, the bytes are zeros. */
int posix_fallocate(int fd, off_t offset, off_t length) {
  struct stat found;
  int result = NEXT(posix_fallocate)(fd, offset, length);
  if (result == 0 && fstat(fd, &found) == 0) sized(0, fd, found.st_size);
  return result;
}
int fallocate(int fd, int mode, off_t offset, off_t length) {
  struct stat found;
  int result = NEXT(fallocate)(fd, mode, offset, length);
  uint64_t inode;
  if (result == 0 && tracked(fd, &inode)) {
    /* A hole would need a record of its own. Nothing here makes one under the root. */
    if (mode & ~1) abort();
    if (fstat(fd, &found) == 0) sized(0, fd, found.st_size);
  }
  return result;
}

static int synced(int result, int fd) {
  uint64_t inode;
  int kept = errno;
  if (result == 0 && tracked(fd, &inode)) append(SYNC, inode, 0, 0, 0, 0, 0, 0);
  errno = kept;
  return result;
}
int fsync(int fd) {
  return synced(NEXT(fsync)(fd), fd);
}
int fdatasync(int fd) {
  return synced(NEXT(fdatasync)(fd), fd);
}

static int renamed(int result, int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  char one[PATH_MAX], other[PATH_MAX];
  int kept = errno;
  if (result == 0) {
    int here = absolute(from_folder, from, one), there = absolute(to_folder, to, other);
    if (here && there) append(flags & 2 ? EXCHANGE : RENAME, 0, 0, one, other, 0, 0, 0);
    /* From elsewhere: its content is not in the record. Nothing here does that. */
    else if (here || there) abort();
  }
  errno = kept;
  return result;
}
int rename(const char *from, const char *to) {
  return renamed(NEXT(rename)(from, to), AT_FDCWD, from, AT_FDCWD, to, 0);
}
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
  return renamed(NEXT(renameat)(from_folder, from, to_folder, to), from_folder, from, to_folder, to, 0);
}
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  return renamed(NEXT(renameat2)(from_folder, from, to_folder, to, flags), from_folder, from, to_folder, to, flags);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
  char full[PATH_MAX];
  int result = NEXT(linkat)(from_folder, from, to_folder, to, flags);
  if (result == 0 && absolute(to_folder, to, full)) named(full);
  return result;
}
int link(const char *from, const char *to) {
  char full[PATH_MAX];
  int result = NEXT(link)(from, to);
  if (result == 0 && absolute(AT_FDCWD, to, full)) named(full);
  return result;
}

static int changed(int result, uint32_t operation, int folder, const char *path) {
  char full[PATH_MAX];
  int kept = errno;
  if (result == 0 && absolute(folder, path, full)) append(operation, 0, 0, full, 0, 0, 0, 0);
  errno = kept;
  return result;
}
int unlink(const char *path) {
  return changed(NEXT(unlink)(path), UNLINK, AT_FDCWD, path);
}
int unlinkat(int folder, const char *path, int flags) {
  return changed(NEXT(unlinkat)(folder, path, flags), flags & AT_REMOVEDIR ? RMDIR : UNLINK, folder, path);
}
int rmdir(const char *path) {
  return changed(NEXT(rmdir)(path), RMDIR, AT_FDCWD, path);
}
int mkdir(const char *path, mode_t mode) {
  return changed(NEXT(mkdir)(path, mode), MKDIR, AT_FDCWD, path);
}
int mkdirat(int folder, const char *path, mode_t mode) {
  return changed(NEXT(mkdirat)(folder, path, mode), MKDIR, folder, path);
}

/* KJ, the library under workerd, renames and copies by the number of the call. */
long syscall(long number, ...) {
  va_list rest;
  va_start(rest, number);
  long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long), d = va_arg(rest, long),
       e = va_arg(rest, long), f = va_arg(rest, long);
  va_end(rest);
  static long (*next)(long, ...);
  if (!next) next = dlsym(RTLD_NEXT, "syscall");
  long result = next(number, a, b, c, d, e, f);
  if (number == SYS_renameat2)
    renamed((int)result, (int)a, (const char *)b, (int)c, (const char *)d, (unsigned)e);
  return result;
}
