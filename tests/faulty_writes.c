/* Lets the n-th system call that writes fail: to be loaded before the C library (LD_PRELOAD).

   Nothing fails until faulty_writes_arm is called. From then on calls are counted, and
   faulty_writes_calls tells how many there were. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/uio.h>

static atomic_long calls;
static long first = -1;  /* the call that fails; none where it is negative */
static int persistent, number, armed;

void faulty_writes_arm(long which, int error, int ever_after)
{
    calls = 0;
    first = which;
    number = error;
    persistent = ever_after;
    armed = 1;
}

void faulty_writes_disarm(void) { armed = 0; }

long faulty_writes_calls(void) { return calls; }

/* Whether a file is /dev/null, which no full disk keeps anybody from. */
static int is_null(int fd)
{
    struct stat told;
    return fstat(fd, &told) == 0 && S_ISCHR(told.st_mode) && told.st_rdev == makedev(1, 3);
}

/* Whether this call is to fail; of a file that is open already, or -1. */
static int fails(int fd)
{
    if (!armed || (fd >= 0 && is_null(fd)))
        return 0;
    long at = calls++;
    if (first < 0 || !(at == first || (persistent && at > first)))
        return 0;
    errno = number;
    return 1;
}

#define WRAP(type, name, fd, parameters, arguments)                        \
    type name parameters                                               \
    {                                                                  \
        static type(*real) parameters;                                 \
        if (!real)                                                     \
            real = (type(*) parameters)dlsym(RTLD_NEXT, #name);        \
        return fails(fd) ? (type)-1 : real arguments;                    \
    }

WRAP(ssize_t, write, fd, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(ssize_t, pwrite64, fd, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
WRAP(ssize_t, writev, fd, (int fd, const struct iovec *parts, int many), (fd, parts, many))
WRAP(ssize_t, send, fd, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
WRAP(ssize_t, sendto, fd,
     (int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length),
     (fd, data, size, flags, to, length))
WRAP(int, rename, -1, (const char *from, const char *to), (from, to))
WRAP(int, renameat, -1, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, unlink, -1, (const char *path), (path))
WRAP(int, symlink, -1, (const char *to, const char *path), (to, path))
WRAP(int, fsync, fd, (int fd), (fd))
WRAP(int, fdatasync, fd, (int fd), (fd))
WRAP(int, ftruncate, fd, (int fd, off_t size), (fd, size))
WRAP(int, ftruncate64, fd, (int fd, off64_t size), (fd, size))
WRAP(int, creat, -1, (const char *path, mode_t mode), (path, mode))

/* Opening counts where it is for writing or makes a file. */
#define WRAP_OPEN(name, parameters, path_arguments)                    \
    int name parameters                                                \
    {                                                                  \
        static int (*real)(parameters_of_##name, int, mode_t);         \
        mode_t mode = 0;                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                           \
            va_list more;                                              \
            va_start(more, flags);                                     \
            mode = va_arg(more, mode_t);                               \
            va_end(more);                                              \
        }                                                              \
        if (!real)                                                     \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                 \
        if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && strcmp(path, "/dev/null") && fails(-1)) \
            return -1;                                                 \
        return real(path_arguments, flags, mode);                      \
    }

#define COMMA ,
#define parameters_of_open const char *
#define parameters_of_open64 const char *
#define parameters_of_openat int, const char *
#define parameters_of_openat64 int, const char *

WRAP_OPEN(open, (const char *path, int flags, ...), path)
WRAP_OPEN(open64, (const char *path, int flags, ...), path)
WRAP_OPEN(openat, (int folder, const char *path, int flags, ...), folder COMMA path)
WRAP_OPEN(openat64, (int folder, const char *path, int flags, ...), folder COMMA path)
