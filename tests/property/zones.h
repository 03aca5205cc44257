/* SPDX-License-Identifier: BSD-3-Clause */
/* The system's time zones for tests: their files, read once. */
#ifndef TESTS_PROPERTY_ZONES_H
#define TESTS_PROPERTY_ZONES_H

#include <stdio.h>
#include <string.h>

#include "core/zone.h"

enum { ZONES_MAX = 1024, ZONE_NAME_MAX = 64, ZONE_FILE_BYTES_MAX = 1 << 16 };

#define ZONES_FOLDER "/usr/share/zoneinfo/"

struct zones {
	struct arena arena;
	char names[ZONES_MAX][ZONE_NAME_MAX];
	const struct zone *zones[ZONES_MAX];
	size_t n;
};

static inline struct str zone_file_read(struct arena *arena, const char *name)
{
	char path[256];
	struct str bytes = { NULL, 0 };

	snprintf(path, sizeof path, ZONES_FOLDER "%s", name);

	FILE *file = fopen(path, "rb");

	if (!file)
		return bytes;

	char *p = arena_alloc(arena, ZONE_FILE_BYTES_MAX);

	bytes.n = fread(p, 1, ZONE_FILE_BYTES_MAX, file);
	bytes.p = p;
	fclose(file);
	return bytes;
}

/* NULL when there is no such file or it is damaged. */
static inline const struct zone *zones_find(struct zones *zones, const char *name)
{
	for (size_t i = 0; i < zones->n; i++)
		if (strcmp(zones->names[i], name) == 0)
			return zones->zones[i];
	if (zones->n == ZONES_MAX || strlen(name) >= ZONE_NAME_MAX)
		return NULL;

	struct arena scratch = { 0 };
	struct str bytes = zone_file_read(&scratch, name);
	const struct zone *zone = bytes.p ? zone_read(&zones->arena, bytes) : NULL;

	arena_release(&scratch);
	if (zone) {
		strcpy(zones->names[zones->n], name);
		zones->zones[zones->n++] = zone;
	}
	return zone;
}

/* All zones of the table of countries; false when the system has none. */
static inline bool zones_read_all(struct zones *zones)
{
	char line[512];
	FILE *file = fopen(ZONES_FOLDER "zone1970.tab", "r");

	if (!file)
		return false;
	while (fgets(line, sizeof line, file)) {
		char *country = line[0] == '#' ? NULL : strtok(line, "\t\n");
		char *place = country ? strtok(NULL, "\t\n") : NULL;
		char *name = place ? strtok(NULL, "\t\n") : NULL;

		if (name && !zones_find(zones, name)) {
			fprintf(stderr, "cannot read zone %s\n", name);
			fclose(file);
			return false;
		}
	}
	fclose(file);
	return zones->n > 0;
}

#endif
