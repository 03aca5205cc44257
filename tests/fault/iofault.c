/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk that fails on demand: preloaded (LD_PRELOAD) into a program, it makes chosen calls on chosen files fail.
 *
 * The rules stand in a file that IOFAULT_CONTROL names, mapped and shared: whoever else maps it arms rules while the
 * program runs and reads how often each matched. tests/fault/iofault.py knows the same layout. A rule that loses does
 * what a kernel may do after a failed sync: what was written since the last one is gone, and the next sync succeeds. */

/* The names of the calls are to be the names they have, each its own. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { RULES_N = 8, RULE_CUTS = 1, RULE_LOSES = 2, NAME_BYTES = 16, PATTERN_BYTES = 64 };

struct rule {
	char call[NAME_BYTES];	     /* the call's name; fsync stands for fdatasync, too. Empty: no rule */
	char pattern[PATTERN_BYTES]; /* fnmatch(3) of the file's path */
	uint32_t first, last;	     /* of the matching calls, counted from 1, these fail */
	int32_t error;		     /* with this errno */
	uint32_t flags;		     /* RULE_CUTS: writes half instead of failing */
	_Atomic uint32_t seen, hit;
	_Atomic uint32_t again;	      /* matching calls on the file that failed last, after it had failed */
	_Atomic uint32_t failed_file; /* its inode */
};

static struct rule *rules; /* RULES_N of them, or NULL: nothing fails */

__attribute__((constructor)) static void map_rules(void)
{
	const char *path = getenv("IOFAULT_CONTROL");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map =
		fd < 0 ? MAP_FAILED : mmap(NULL, RULES_N * sizeof *rules, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (map != MAP_FAILED)
		rules = map;
}

/* The function that would have been called without us. */
static void *real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	return function;
}

#define REAL(name) ((__typeof__(&name))real(#name))

/* The rule that says that this call fails now, or NULL. Every rule that matches counts it. */
static struct rule *failing(const char *call, const char *path, ino_t file)
{
	struct rule *found = NULL;

	for (size_t i = 0; rules && i < RULES_N; i++) {
		struct rule *rule = &rules[i];

		if (strcmp(rule->call, call) != 0 || fnmatch(rule->pattern, path, 0) != 0)
			continue;
		uint32_t number = atomic_fetch_add(&rule->seen, 1) + 1;

		if (file && rule->failed_file == (uint32_t)file)
			atomic_fetch_add(&rule->again, 1);
		if (number < rule->first || number > rule->last)
			continue;
		rule->failed_file = (uint32_t)file;
		atomic_fetch_add(&rule->hit, 1);
		found = found ? found : rule;
	}
	return found;
}

static const char *path_of(int fd, char path[PATTERN_BYTES * 4])
{
	char link[32];

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = rules ? readlink(link, path, PATTERN_BYTES * 4 - 1) : 0;

	path[n > 0 ? n : 0] = '\0';
	return path;
}

static struct rule *failing_fd(const char *call, int fd)
{
	char path[PATTERN_BYTES * 4];
	struct stat file;

	if (!rules)
		return NULL;
	path_of(fd, path);
	return failing(call, path, fstat(fd, &file) == 0 ? file.st_ino : 0);
}

/* --- what was written since the last sync ------------------------------------------------------------------ */

struct unsynced {
	struct unsynced *older;
	dev_t device;
	ino_t inode;
	off_t size, at; /* of the file, of the bytes */
	size_t n;
	char bytes[]; /* as they were */
};

static struct unsynced *newest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_losing(int fd)
{
	char path[PATTERN_BYTES * 4];

	path_of(fd, path);
	for (size_t i = 0; rules && i < RULES_N; i++)
		if ((rules[i].flags & RULE_LOSES) && fnmatch(rules[i].pattern, path, 0) == 0)
			return true;
	return false;
}

/* Remembers the bytes from `at` on that the file has now, `n` at most. */
static void remember(int fd, off_t at, size_t n)
{
	struct stat file;

	if (!is_losing(fd) || fstat(fd, &file) < 0)
		return;
	if (at >= file.st_size)
		n = 0;
	else if (n > (size_t)(file.st_size - at))
		n = (size_t)(file.st_size - at);
	struct unsynced *entry = malloc(sizeof *entry + n);

	if (!entry)
		abort();
	/* Open for writing alone: it cannot be taken back. */
	if (REAL(pread)(fd, entry->bytes, n, at) != (ssize_t)n) {
		free(entry);
		return;
	}
	entry->device = file.st_dev;
	entry->inode = file.st_ino;
	entry->size = file.st_size;
	entry->at = at;
	entry->n = n;
	pthread_mutex_lock(&lock);
	entry->older = newest;
	newest = entry;
	pthread_mutex_unlock(&lock);
}

/* After a sync of the file: forgets, or takes back, what was written to it. */
static void settle(int fd, bool is_lost)
{
	struct stat file;

	if (!rules || fstat(fd, &file) < 0)
		return;
	pthread_mutex_lock(&lock);
	for (struct unsynced **at = &newest; *at;) {
		struct unsynced *entry = *at;

		if (entry->device != file.st_dev || entry->inode != file.st_ino) {
			at = &entry->older;
			continue;
		}
		if (is_lost && (REAL(pwrite)(fd, entry->bytes, entry->n, entry->at) != (ssize_t)entry->n ||
				REAL(ftruncate)(fd, entry->size) < 0))
			abort();
		*at = entry->older;
		free(entry);
	}
	pthread_mutex_unlock(&lock);
}

/* --- the calls --------------------------------------------------------------------------------------------- */

static int fail(const struct rule *rule)
{
	errno = rule->error;
	return -1;
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	struct rule *rule = failing("open", path, 0);

	va_start(arguments, flags);
	mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, mode_t) : 0;

	va_end(arguments);
	return rule ? fail(rule) : REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

static ssize_t read_at(int fd, void *bytes, size_t n, off_t at)
{
	struct rule *rule = failing_fd("pread", fd);

	return rule ? fail(rule) : REAL(pread)(fd, bytes, n, at);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
	return read_at(fd, bytes, n, at);
}

ssize_t pread64(int fd, void *bytes, size_t n, off64_t at)
{
	return read_at(fd, bytes, n, at);
}

static ssize_t write_at(int fd, const void *bytes, size_t n, off_t at)
{
	struct rule *rule = failing_fd("pwrite", fd);

	if (rule && !(rule->flags & RULE_CUTS))
		return fail(rule);
	remember(fd, at, n);
	return REAL(pwrite)(fd, bytes, rule ? n / 2 : n, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	return write_at(fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	return write_at(fd, bytes, n, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int parts_n, off_t at)
{
	struct rule *rule = failing_fd("pwrite", fd);

	return rule ? fail(rule) : REAL(pwritev)(fd, parts, parts_n, at);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
	struct rule *rule = failing_fd("write", fd);

	if (rule && !(rule->flags & RULE_CUTS))
		return fail(rule);
	return REAL(write)(fd, bytes, rule ? n / 2 : n);
}

static int sync_with(int (*sync_file)(int fd), int fd)
{
	struct rule *rule = failing_fd("fsync", fd);

	if (rule) {
		settle(fd, rule->flags & RULE_LOSES);
		return fail(rule);
	}
	int result = sync_file(fd);

	if (result == 0)
		settle(fd, false);
	return result;
}

int fsync(int fd)
{
	return sync_with(REAL(fsync), fd);
}

int fdatasync(int fd)
{
	return sync_with(REAL(fdatasync), fd);
}

static int truncate_to(int fd, off_t n)
{
	struct rule *rule = failing_fd("ftruncate", fd);

	if (rule)
		return fail(rule);
	remember(fd, n, SIZE_MAX);
	return REAL(ftruncate)(fd, n);
}

int ftruncate(int fd, off_t n)
{
	return truncate_to(fd, n);
}

int ftruncate64(int fd, off64_t n)
{
	return truncate_to(fd, n);
}

static int allocate(int fd, off_t at, off_t n)
{
	struct rule *rule = failing_fd("fallocate", fd);

	return rule ? rule->error : REAL(posix_fallocate)(fd, at, n);
}

int posix_fallocate(int fd, off_t at, off_t n)
{
	return allocate(fd, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n)
{
	return allocate(fd, at, n);
}

int unlink(const char *path)
{
	struct rule *rule = failing("unlink", path, 0);

	return rule ? fail(rule) : REAL(unlink)(path);
}

int rename(const char *from, const char *to)
{
	struct rule *rule = failing("rename", to, 0);

	return rule ? fail(rule) : REAL(rename)(from, to);
}
