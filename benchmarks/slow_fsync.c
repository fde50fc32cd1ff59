/*
 * Makes each fsync of a program take a time, as on a slower disk.
 *
 *   cc -shared -fPIC -O2 -o slow_fsync.so benchmarks/slow_fsync.c -ldl
 *   LD_PRELOAD=./slow_fsync.so SLOW_FSYNC_US=222 python benchmarks/bench_sqlite.py
 *
 * One that takes longer by itself stays as it is. With 222 us, a loop of one-row commits of
 * SQLite made 3,600 a second on ext4 and on a tmpfs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* What a sleep takes beyond its time, in microseconds. */
#define OVERSLEEP 55

static long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static int slowed(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *wanted = getenv("SLOW_FSYNC_US");
    long end = now_us() + (wanted ? atol(wanted) : 0);
    int result = real(fd);
    long left = end - now_us() - OVERSLEEP;
    if (left > 0) {
        struct timespec pause = {left / 1000000L, left % 1000000L * 1000L};
        nanosleep(&pause, NULL);
    }
    return result;
}

int fsync(int fd) { return slowed("fsync", fd); }

int fdatasync(int fd) { return slowed("fdatasync", fd); }
