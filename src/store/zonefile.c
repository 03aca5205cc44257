/* SPDX-License-Identifier: BSD-3-Clause */
/* A sorted table of zones that were asked for. The number of names is bounded by ZONEFILE_ZONES_MAX, far above what
 * exists; when it is full the table starts anew, so that no flood of odd names can fill memory. */
#include "store/zonefile.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"

enum { NAME_BYTES_MAX = 100 };

struct entry {
	char name[NAME_BYTES_MAX + 1];
	struct arena arena; /* of the zone */
	const struct zone *zone;
	struct stat seen; /* the file when it was read */
	uint8_t digest[DIGEST_BYTES];
};

struct zonefile_cache {
	char *directory;
	struct entry **entries; /* owned, sorted by name */
	size_t entries_n;
};

struct zonefile_cache *zonefile_cache_new(const char *directory)
{
	struct zonefile_cache *cache = memory_new(sizeof *cache);
	const char *from = directory ? directory : getenv("TZDIR");

	if (!from || !*from)
		from = "/usr/share/zoneinfo";
	cache->directory = memory_new(strlen(from) + 1);
	memcpy(cache->directory, from, strlen(from));
	return cache;
}

static bool path_of(const struct zonefile_cache *cache, const char *name, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", cache->directory, name);

	return n > 0 && n < PATH_MAX;
}

/* The file's first line without `prefix`; false when it does not begin so. */
static bool first_line(const struct zonefile_cache *cache, const char *name, const char *prefix, char *text,
		       size_t size)
{
	char path[PATH_MAX], line[80] = "";
	FILE *file = path_of(cache, name, path) ? fopen(path, "re") : NULL;
	bool found = file && fgets(line, sizeof line, file) && strncmp(line, prefix, strlen(prefix)) == 0;

	if (file)
		fclose(file);
	if (found)
		snprintf(text, size, "%.*s", (int)strcspn(line + strlen(prefix), "\r\n"), line + strlen(prefix));
	return found && *text;
}

void zonefile_version(const struct zonefile_cache *cache, char *text, size_t size)
{
	if (!first_line(cache, "tzdata.zi", "# version ", text, size) && !first_line(cache, "+VERSION", "", text, size))
		snprintf(text, size, "unknown");
}

static void entry_free(struct entry *entry)
{
	arena_release(&entry->arena);
	free(entry);
}

static void forget_all(struct zonefile_cache *cache)
{
	for (size_t i = 0; i < cache->entries_n; i++)
		entry_free(cache->entries[i]);
	cache->entries_n = 0;
}

void zonefile_cache_free(struct zonefile_cache *cache)
{
	if (!cache)
		return;
	forget_all(cache);
	free(cache->entries);
	free(cache->directory);
	free(cache);
}

/* Where `name` stands, or would stand. */
static size_t find_place(const struct zonefile_cache *cache, const char *name)
{
	size_t low = 0, high = cache->entries_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(cache->entries[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool read_whole(int fd, size_t n, struct arena *arena, struct str *bytes)
{
	char *p = arena_alloc(arena, n + 1);
	size_t done = 0;

	while (done < n) {
		ssize_t got = read(fd, p + done, n - done);

		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	*bytes = (struct str){ p, n };
	return true;
}

static struct entry *load(const struct zonefile_cache *cache, const char *name)
{
	struct arena scratch = { 0 };
	struct entry *entry = memory_new(sizeof *entry);
	char path[PATH_MAX];
	struct str bytes;
	int fd = path_of(cache, name, path) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

	memcpy(entry->name, name, strlen(name));
	if (fd >= 0 && fstat(fd, &entry->seen) == 0 && S_ISREG(entry->seen.st_mode) && entry->seen.st_size > 0 &&
	    entry->seen.st_size <= ZONEFILE_BYTES_MAX &&
	    read_whole(fd, (size_t)entry->seen.st_size, &scratch, &bytes)) {
		entry->zone = zone_read(&entry->arena, bytes);
		sha256(bytes, entry->digest);
	}
	if (fd >= 0)
		close(fd);
	arena_release(&scratch);
	if (entry->zone)
		return entry;
	entry_free(entry);
	return NULL;
}

static const struct entry *find(struct zonefile_cache *cache, struct str name)
{
	char text[NAME_BYTES_MAX + 1] = "";

	if (name.n > NAME_BYTES_MAX || !zone_name_is_plausible(name))
		return NULL;
	memcpy(text, name.p, name.n);
	size_t at = find_place(cache, text);

	if (at < cache->entries_n && strcmp(cache->entries[at]->name, text) == 0)
		return cache->entries[at];
	struct entry *entry = load(cache, text);

	if (!entry)
		return NULL;
	if (cache->entries_n == ZONEFILE_ZONES_MAX) {
		forget_all(cache);
		at = 0;
	}
	cache->entries = memory_resize(cache->entries, (cache->entries_n + 1) * sizeof(struct entry *));
	memmove(cache->entries + at + 1, cache->entries + at, (cache->entries_n - at) * sizeof(struct entry *));
	cache->entries[at] = entry;
	cache->entries_n++;
	return entry;
}

const struct zone *zonefile_find(struct zonefile_cache *cache, struct str name)
{
	if (str_equal(name, STR("UTC")))
		return zone_utc();
	const struct entry *entry = find(cache, name);

	return entry ? entry->zone : NULL;
}

bool zonefile_digest(struct zonefile_cache *cache, struct str name, uint8_t digest[DIGEST_BYTES])
{
	memset(digest, 0, DIGEST_BYTES);
	if (str_equal(name, STR("UTC")))
		return true;
	const struct entry *entry = find(cache, name);

	if (entry)
		memcpy(digest, entry->digest, DIGEST_BYTES);
	return entry != NULL;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool is_current(const struct zonefile_cache *cache, const struct entry *entry)
{
	char path[PATH_MAX];
	struct stat now;

	return path_of(cache, entry->name, path) && stat(path, &now) == 0 && is_same_file(&now, &entry->seen);
}

bool zonefile_refresh(struct zonefile_cache *cache, struct str name)
{
	size_t kept = 0, before = cache->entries_n;

	for (size_t i = 0; i < before; i++) {
		struct entry *entry = cache->entries[i];

		if ((name.p && !str_equal(name, str_from(entry->name))) || is_current(cache, entry))
			cache->entries[kept++] = entry;
		else
			entry_free(entry);
	}
	cache->entries_n = kept;
	return kept < before;
}
