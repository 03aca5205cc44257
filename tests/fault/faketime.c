/* SPDX-License-Identifier: BSD-3-Clause */
/* A clock that a test sets while the program runs: LD_PRELOAD shim, driven through a file that both map.
 *
 *   cc -shared -fPIC -O2 -o faketime.so faketime.c -ldl -lpthread
 *   FAKETIME_FILE=clock LD_PRELOAD=faketime.so seed-scheduler serve …
 *
 * The file is one `struct control`; its writer is tests/fault/faketime.py. Each clock shows the kernel's plus an offset
 * of its own, all of them drifting by one common rate, as they do when the kernel slews. Waits stay real: epoll and
 * futexes know no offsets. A timerfd on the wall clock is given the time that is left, and when the clocks were set the
 * shim does what the kernel does to it: it becomes readable at once and read(2) says ECANCELED (timerfd_create(2)).
 * That news comes through the FIFO FAKETIME_FILE.set; a test that does not write there plays a kernel that keeps it to
 * itself. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

enum { TIMERS_MAX = 16, CLOCKS_MAX = CLOCK_BOOTTIME + 1 };

struct control {
	_Atomic uint64_t version;		   /* odd while it is being written */
	_Atomic int64_t wall_ns, boot_ns, mono_ns; /* offsets */
	_Atomic int64_t rate_ppb, since_ns;	   /* drift since that instant of the kernel's monotonic clock */
};

struct timer {
	int fd;
	bool is_cancelled;
	int64_t at_ns; /* on the clock as shown; 0 = not set */
};

static struct control *control;
static int64_t beyond_monotonic_ns[CLOCKS_MAX];
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_timerfd_create)(int, int);
static int (*real_timerfd_settime)(int, int, const struct itimerspec *, struct itimerspec *);
static ssize_t (*real_read)(int, void *, size_t);
static int (*real_close)(int);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct timer timers[TIMERS_MAX];
static _Atomic int timers_n;

static void *find(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

static void look_up(void)
{
	real_clock_gettime = (int (*)(clockid_t, struct timespec *))find("clock_gettime");
	real_timerfd_create = (int (*)(int, int))find("timerfd_create");
	real_timerfd_settime =
		(int (*)(int, int, const struct itimerspec *, struct itimerspec *))find("timerfd_settime");
	real_read = (ssize_t(*)(int, void *, size_t))find("read");
	real_close = (int (*)(int))find("close");
}

static int64_t real_ns(clockid_t id)
{
	struct timespec t;

	real_clock_gettime(id, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* How far each clock is from the monotonic one: closely, by the shortest of some tries. */
static void measure_distances(void)
{
	for (clockid_t id = 0; id < CLOCKS_MAX; id++)
		for (int64_t tries = 0, shortest = INT64_MAX; tries < 8; tries++) {
			int64_t before = real_ns(CLOCK_MONOTONIC), there = real_ns(id),
				took = real_ns(CLOCK_MONOTONIC) - before;

			if (took < shortest) {
				shortest = took;
				beyond_monotonic_ns[id] = there - before - took / 2;
			}
		}
}

static void map_control(void)
{
	const char *path = getenv("FAKETIME_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED) {
		fprintf(stderr, "faketime: FAKETIME_FILE: %s\n", path ? strerror(errno) : "not set");
		_exit(97);
	}
	close(fd);
	measure_distances();
	control = page;
}

/* Constructors of other libraries may ask for the time before ours ran. */
__attribute__((constructor)) static void begin(void)
{
	static pthread_once_t looked = PTHREAD_ONCE_INIT, mapped = PTHREAD_ONCE_INIT;

	pthread_once(&looked, look_up);
	pthread_once(&mapped, map_control);
}

/* --- clocks --- */

static const _Atomic int64_t *offset_of(clockid_t id)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		return &control->wall_ns;
	case CLOCK_BOOTTIME:
		return &control->boot_ns;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_MONOTONIC_RAW:
		return &control->mono_ns;
	default:
		return NULL; /* processor time */
	}
}

/* A clock that drifts is reckoned from one reading of the monotonic one, or it would go back by what passes between two
 * readings. */
static int64_t shown_ns(clockid_t id)
{
	for (;;) {
		uint64_t version = atomic_load(&control->version);
		int64_t offset = atomic_load(offset_of(id)), rate = atomic_load(&control->rate_ppb);
		int64_t since = atomic_load(&control->since_ns), now = real_ns(rate ? CLOCK_MONOTONIC : id);

		if (rate)
			now += beyond_monotonic_ns[id] + (int64_t)((__int128)(now - since) * rate / NS_PER_S);
		if (version % 2 == 0 && version == atomic_load(&control->version))
			return now + offset;
	}
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	if (!control)
		begin();
	if (!offset_of(id))
		return real_clock_gettime(id, t);

	int64_t ns = shown_ns(id);
	int64_t seconds = ns / NS_PER_S - (ns % NS_PER_S < 0);

	*t = (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = (long)(ns - seconds * NS_PER_S) };
	return 0;
}

time_t time(time_t *result)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (result)
		*result = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	*tv = (struct timeval){ .tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000 };
	return 0;
}

/* --- timers on the wall clock --- */

static struct timer *timer_of(int fd)
{
	for (int i = 0; i < timers_n; i++)
		if (timers[i].fd == fd)
			return &timers[i];
	return NULL;
}

static int set_ns(int fd, int64_t ns)
{
	struct itimerspec spec = { .it_value = { .tv_sec = (time_t)(ns / NS_PER_S),
						 .tv_nsec = (long)(ns % NS_PER_S) } };

	return real_timerfd_settime(fd, 0, &spec, NULL);
}

/* What the kernel does when the wall clock was set. */
static void *cancel_when_told(void *unused)
{
	char path[4096], byte;

	(void)unused;
	snprintf(path, sizeof path, "%s.set", getenv("FAKETIME_FILE"));

	int fifo = open(path, O_RDWR | O_CLOEXEC);

	while (fifo >= 0 && real_read(fifo, &byte, 1) == 1) {
		pthread_mutex_lock(&lock);
		for (int i = 0; i < timers_n; i++) {
			timers[i].is_cancelled = timers[i].at_ns != 0;
			if (timers[i].is_cancelled)
				set_ns(timers[i].fd, 1);
		}
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

int timerfd_create(int clock, int flags)
{
	pthread_t thread;
	int fd;

	begin();
	fd = real_timerfd_create(clock, flags);
	if (fd < 0 || clock != CLOCK_REALTIME)
		return fd;
	pthread_mutex_lock(&lock);
	if (timers_n == TIMERS_MAX)
		abort();
	timers[timers_n++] = (struct timer){ .fd = fd };
	if (timers_n == 1 && pthread_create(&thread, NULL, cancel_when_told, NULL) == 0)
		pthread_detach(thread);
	pthread_mutex_unlock(&lock);
	return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *spec, struct itimerspec *before)
{
	int64_t at_ns = (int64_t)spec->it_value.tv_sec * NS_PER_S + spec->it_value.tv_nsec;
	int result;

	begin();
	pthread_mutex_lock(&lock);
	struct timer *timer = timer_of(fd);

	if (timer && (flags & TFD_TIMER_ABSTIME) && at_ns) {
		int64_t left = at_ns - shown_ns(CLOCK_REALTIME);

		timer->at_ns = at_ns;
		timer->is_cancelled = false;
		result = set_ns(fd, left > 0 ? left : 1);
	} else {
		if (timer)
			timer->at_ns = at_ns;
		result = real_timerfd_settime(fd, flags, spec, before);
	}
	pthread_mutex_unlock(&lock);
	return result;
}

ssize_t read(int fd, void *bytes, size_t n)
{
	ssize_t got;

	if (!real_read)
		begin();
	got = real_read(fd, bytes, n);
	if (timers_n == 0 || got < 0)
		return got;
	pthread_mutex_lock(&lock);
	struct timer *timer = timer_of(fd);
	bool is_cancelled = timer && timer->is_cancelled;

	if (is_cancelled)
		timer->is_cancelled = false;
	pthread_mutex_unlock(&lock);
	if (!is_cancelled)
		return got;
	errno = ECANCELED;
	return -1;
}

int close(int fd)
{
	if (!real_close)
		begin();
	if (timers_n > 0) {
		pthread_mutex_lock(&lock);
		struct timer *timer = timer_of(fd);

		if (timer)
			*timer = timers[--timers_n];
		pthread_mutex_unlock(&lock);
	}
	return real_close(fd);
}
