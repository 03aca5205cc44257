/* SPDX-License-Identifier: BSD-3-Clause */
/* Lets another program ask for occurrences and offsets: the C side of oracle_time.py.
 *
 * Reads lines "entry|zone|from" and prints the next three occurrences after the Unix time `from`, "-" where there are
 * no more. With an empty entry it prints the offset at `from`. An entry that is refused prints "! reason", a zone that
 * cannot be read "?". */
#include <stdlib.h>

#include "core/cron.h"
#include "zones.h"

enum { ANSWERS = 3 };

static void answer_next(const struct cron *cron, const struct zone *zone, int64_t from)
{
	struct wall at = { from * US_PER_SECOND };

	for (int i = 0; i < ANSWERS; i++) {
		if (!cron_next(cron, zone, at, &at)) {
			printf("%s-", i ? " " : "");
			break;
		}
		printf("%s%lld", i ? " " : "", (long long)(at.us / US_PER_SECOND));
	}
	printf("\n");
}

int main(void)
{
	static struct zones zones;
	char line[1024];

	while (fgets(line, sizeof line, stdin)) {
		char *zone_name = strchr(line, '|');
		char *from = zone_name ? strchr(zone_name + 1, '|') : NULL;
		struct cron cron;
		struct cron_problem problem;

		if (!from)
			return 2;
		*zone_name++ = '\0';
		*from++ = '\0';

		const struct zone *zone = zones_find(&zones, zone_name);

		if (!zone)
			printf("?\n");
		else if (!line[0])
			printf("%d\n", zone_offset_at(zone, atoll(from)));
		else if (!cron_parse(str_from(line), 0, &cron, &problem))
			printf("! %s\n", problem.text);
		else
			answer_next(&cron, zone, atoll(from));
	}
	arena_release(&zones.arena);
	return 0;
}
