/* A disk whose power can be cut, for one process, without root: loaded with LD_PRELOAD.
 *
 * kill -9 loses nothing that was written: the kernel still has it. A power cut loses what was not synced. So beside each
 * file whose name ends in one of POWER_FILES (separated by ':'), in the folder POWER_FOLDER, there are
 *
 *     NAME.synced    what a disk without power is sure to have: the file as of its last fsync or fdatasync
 *     NAME.waiting   what was written since: records of {offset, length, bytes}; length -1: the file has this size now
 *
 * After the kill, whoever cuts the power applies any part of NAME.waiting to NAME.synced and puts that in the file's
 * place. POWER_LIES=1 does not tell the disk of a sync: what a program without fsync would have. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 65536

struct side { int synced, waiting; };
static struct side sides[FDS];
static unsigned char known[FDS]; /* 0 never looked at, 1 ours, 2 not ours */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Redis forks to write its file anew, while another of its threads may be in here: the child must not wait for that one. */
static void take(void) { pthread_mutex_lock(&lock); }
static void give(void) { pthread_mutex_unlock(&lock); }
__attribute__((constructor)) static void begin_process(void) { pthread_atfork(take, give, give); }

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t put(int fd, const void *bytes, size_t length, off_t at)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return real(fd, bytes, length, at);
}

static void resize(int fd, off_t size)
{
    REAL(int, "ftruncate64", int, off_t);
    if (real(fd, size)) abort();
}

static void quiet_close(int fd)
{
    REAL(int, "close", int);
    real(fd);
}

static int ends_with(const char *path, const char *list)
{
    size_t whole = strlen(path);
    while (*list) {
        size_t length = strcspn(list, ":");
        if (length && whole >= length && !strncmp(path + whole - length, list, length)) return 1;
        list += length + (list[length] == ':');
    }
    return 0;
}

static void note(int fd, int64_t at, int64_t length, const void *bytes)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    int64_t head[2] = {at, length};
    size_t room = sizeof head + (length > 0 ? (size_t)length : 0);
    char *record = malloc(room);
    if (!record) abort();
    memcpy(record, head, sizeof head);
    if (length > 0) memcpy(record + sizeof head, bytes, (size_t)length);
    if (real(sides[fd].waiting, record, room) != (ssize_t)room) abort();
    free(record);
}

/* Opens the two files beside the one behind `fd`. A new file counts as synced as it is. After a kill what the kernel
 * kept of the file and the disk does not have is found by comparing: the kill may have come between a write and its
 * record. */
static int begin(int fd, const char *path)
{
    char name[8192], block[4096], old[4096];
    const char *folder = getenv("POWER_FOLDER"), *base = strrchr(path, '/');
    snprintf(name, sizeof name, "%s/%s.synced", folder, base ? base + 1 : path);
    int fresh = access(name, F_OK);
    int synced = sides[fd].synced = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    snprintf(name, sizeof name, "%s/%s.waiting", folder, base ? base + 1 : path);
    sides[fd].waiting = open(name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int from = open(path, O_RDONLY | O_CLOEXEC);
    struct stat now, then;
    if (synced < 0 || sides[fd].waiting < 0 || from < 0 || fstat(from, &now) || fstat(synced, &then)) abort();
    resize(sides[fd].waiting, 0);
    if (!fresh && now.st_size != then.st_size) note(fd, now.st_size, -1, NULL);
    ssize_t got;
    for (off_t at = 0; (got = pread(from, block, sizeof block, at)) > 0; at += got) {
        if (fresh) put(synced, block, (size_t)got, at);
        else if (pread(synced, old, (size_t)got, at) != got || memcmp(block, old, (size_t)got)) note(fd, at, got, block);
    }
    quiet_close(from);
    return 1;
}

static int ours(int fd)
{
    if (fd < 0 || fd >= FDS) return 0;
    if (!known[fd]) {
        char link[64], path[4096];
        const char *list = getenv("POWER_FILES");
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length < 0 ? 0 : length] = 0;
        known[fd] = list && path[0] == '/' && ends_with(path, list) && begin(fd, path) ? 1 : 2;
    }
    return known[fd] == 1;
}

/* What waits is on the disk now. */
static void settle(int fd)
{
    int waiting = sides[fd].waiting, synced = sides[fd].synced;
    struct stat of;
    if (fstat(waiting, &of)) abort();
    char *all = malloc((size_t)of.st_size + 1);
    if (!all || pread(waiting, all, (size_t)of.st_size, 0) != of.st_size) abort();
    for (off_t at = 0; at + 16 <= of.st_size;) {
        int64_t head[2];
        memcpy(head, all + at, 16);
        at += 16;
        if (head[1] < 0) resize(synced, head[0]);
        else { put(synced, all + at, (size_t)head[1], head[0]); at += head[1]; }
    }
    resize(waiting, 0);
    free(all);
}

static int lies(void)
{
    const char *lies = getenv("POWER_LIES");
    return lies && *lies == '1';
}

#define SYNC(name)                                            \
    int name(int fd)                                          \
    {                                                         \
        REAL(int, #name, int);                                \
        int result = real(fd);                                \
        pthread_mutex_lock(&lock);                            \
        if (!result && ours(fd) && !lies()) settle(fd);       \
        pthread_mutex_unlock(&lock);                          \
        return result;                                        \
    }
SYNC(fsync)
SYNC(fdatasync)

static ssize_t write_at(int fd, const void *bytes, size_t length, off_t at)
{
    pthread_mutex_lock(&lock);
    int is_ours = ours(fd);
    ssize_t done = put(fd, bytes, length, at);
    int error = errno;
    if (is_ours && done > 0) note(fd, at, done, bytes);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return write_at(fd, bytes, length, at); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return write_at(fd, bytes, length, at); }

ssize_t write(int fd, const void *bytes, size_t length)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    if (fd < 0 || fd >= FDS || known[fd] == 2) return real(fd, bytes, length);
    pthread_mutex_lock(&lock);
    int is_ours = ours(fd);
    ssize_t done = real(fd, bytes, length);
    int error = errno;
    if (is_ours && done > 0) note(fd, lseek(fd, 0, SEEK_CUR) - done, done, bytes);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

static int cut_to(int fd, off_t size)
{
    REAL(int, "ftruncate64", int, off_t);
    pthread_mutex_lock(&lock);
    int is_ours = ours(fd), result = real(fd, size), error = errno;
    if (is_ours && !result) note(fd, size, -1, NULL);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int ftruncate64(int fd, off64_t size) { return cut_to(fd, size); }
int ftruncate(int fd, off_t size) { return cut_to(fd, size); }

/* A number that is given out anew may have been closed where nobody sees it (fclose). */
static int opened(int fd)
{
    if (fd >= 0 && fd < FDS) known[fd] = 0;
    return fd;
}

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...)                            \
    {                                                                     \
        REAL(int, #name, const char *, int, ...);                         \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = va_arg(rest, mode_t);                               \
        va_end(rest);                                                     \
        return opened(real(path, flags, mode));                           \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                      \
    int name(int at, const char *path, int flags, ...)                    \
    {                                                                     \
        REAL(int, #name, int, const char *, int, ...);                    \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = va_arg(rest, mode_t);                               \
        va_end(rest);                                                     \
        return opened(real(at, path, flags, mode));                       \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd)
{
    REAL(int, "close", int);
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS) {
        if (known[fd] == 1) { real(sides[fd].synced); real(sides[fd].waiting); }
        known[fd] = 0;
    }
    pthread_mutex_unlock(&lock);
    return real(fd);
}
