/* A disk that fails, and a moment to be struck at: preloaded into a program, it counts, from `begin_faults` on, the writes below FAULT_UNDER (folders separated by
   colons) and at number FAULT_AT does what FAULT_DO says: "enospc" or "erofs" (every write from there on fails), "stop" (the program stops
   once, so that a test can do something to it or to others, and goes on with SIGCONT), or nothing. FAULT_COUNT is a file of eight bytes that
   holds the count.

   Writes are: making, writing, syncing, renaming and linking files, and making folders; on a read-only disk removing them fails as well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static _Atomic long *counter;
static const char *under, *what;
static long at;

/* Read what is to be done from the environment of now: programs are forked from one that has loaded everything. */
void begin_faults(void) {
    const char *file = getenv("FAULT_COUNT");
    under = getenv("FAULT_UNDER");
    what = getenv("FAULT_DO");
    at = getenv("FAULT_AT") ? atol(getenv("FAULT_AT")) : 0;
    int fd = file ? REAL(open)(file, O_RDWR) : -1;
    if (fd < 0) return;
    void *memory = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED) counter = memory;
}

static int below(const char *path) {
    for (const char *one = under; one && *one;) {
        size_t length = strcspn(one, ":");
        if (length && !strncmp(path, one, length)) return 1;
        one += length + (one[length] == ':');
    }
    return 0;
}

static int below_at(int folder, const char *path) {
    char whole[PATH_MAX], link[64];
    if (path[0] == '/') return below(path);
    if (folder == AT_FDCWD) return getcwd(whole, sizeof whole) && below(whole);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    if (length < 0) return 0;
    whole[length] = 0;
    return below(whole);
}

static int below_fd(int fd) { return below_at(fd, "."); }

/* Whether a write is to fail; errno says with what. */
static int struck(int ours) {
    if (!counter || !ours) return 0;
    long number = atomic_fetch_add(counter, 1) + 1;
    if (!what || !at || number < at) return 0;
    if (!strcmp(what, "enospc")) return errno = ENOSPC, 1;
    if (!strcmp(what, "erofs")) return errno = EROFS, 1;
    if (number == at && !strcmp(what, "stop")) kill(getpid(), SIGSTOP);
    return 0;
}

static int read_only(int ours) {
    if (!counter || !ours || !what || strcmp(what, "erofs") || !at || atomic_load(counter) < at) return 0;
    errno = EROFS;
    return 1;
}

ssize_t write(int fd, const void *data, size_t size) {
    return struck(counter && below_fd(fd)) ? -1 : REAL(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
    return struck(counter && below_fd(fd)) ? -1 : REAL(pwrite)(fd, data, size, place);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
    return struck(counter && below_fd(fd)) ? -1 : REAL(pwrite64)(fd, data, size, place);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return struck(counter && below_fd(fd)) ? -1 : REAL(writev)(fd, parts, count);
}
int fsync(int fd) { return struck(counter && below_fd(fd)) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return struck(counter && below_fd(fd)) ? -1 : REAL(fdatasync)(fd); }

#define OPENS(name)                                                                                   \
    int name(const char *path, int flags, ...) {                                                      \
        va_list more;                                                                                 \
        va_start(more, flags);                                                                        \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                       \
        va_end(more);                                                                                 \
        if (flags & O_CREAT && struck(counter && below_at(AT_FDCWD, path))) return -1;                \
        return REAL(name)(path, flags, mode);                                                         \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                                                \
    int name(int folder, const char *path, int flags, ...) {                                          \
        va_list more;                                                                                 \
        va_start(more, flags);                                                                        \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                       \
        va_end(more);                                                                                 \
        if (flags & O_CREAT && struck(counter && below_at(folder, path))) return -1;                  \
        return REAL(name)(folder, path, flags, mode);                                                 \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

int rename(const char *from, const char *to) {
    return struck(counter && below_at(AT_FDCWD, to)) ? -1 : REAL(rename)(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    return struck(counter && below_at(b, to)) ? -1 : REAL(renameat)(a, from, b, to);
}
int link(const char *from, const char *to) {
    return struck(counter && below_at(AT_FDCWD, to)) ? -1 : REAL(link)(from, to);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    return struck(counter && below_at(b, to)) ? -1 : REAL(linkat)(a, from, b, to, flags);
}
int mkdir(const char *path, mode_t mode) { return struck(counter && below_at(AT_FDCWD, path)) ? -1 : REAL(mkdir)(path, mode); }
int mkdirat(int folder, const char *path, mode_t mode) {
    return struck(counter && below_at(folder, path)) ? -1 : REAL(mkdirat)(folder, path, mode);
}
int unlink(const char *path) { return read_only(counter && below_at(AT_FDCWD, path)) ? -1 : REAL(unlink)(path); }
int unlinkat(int folder, const char *path, int flags) {
    return read_only(counter && below_at(folder, path)) ? -1 : REAL(unlinkat)(folder, path, flags);
}
int rmdir(const char *path) { return read_only(counter && below_at(AT_FDCWD, path)) ? -1 : REAL(rmdir)(path); }
