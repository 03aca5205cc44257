/* SPDX-License-Identifier: BSD-3-Clause */
/* `seed-scheduler next`: the instants of a cron entry, from the same functions that the service plans with. */
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "core/cron.h"
#include "core/timestamp.h"
#include "store/zonefile.h"

enum { NEXT_N_MAX = 1000000 };

enum option_index { OPTION_TIMEZONE, OPTION_FROM, OPTION_N, OPTION_HELP, OPTIONS_N };

static const struct option options[OPTIONS_N] = {
	[OPTION_TIMEZONE] = { "--timezone", NULL, "ZONE", "UTC", "IANA name", false, false },
	[OPTION_FROM] = { "--from", NULL, "TIME", NULL, "the first instant printed is after this one; default: now",
			  false, false },
	[OPTION_N] = { "-n", NULL, "N", "5", "how many", false, false },
	[OPTION_HELP] = { "--help", NULL, NULL, NULL, "this list", false, false },
};

static int refuse(const char *text)
{
	fprintf(stderr, "seed-scheduler: %s\n", text);
	return EXIT_USAGE;
}

static int print_next(const struct cron *cron, const struct zone *zone, struct wall from, int64_t n)
{
	struct buf line;

	buf_init(&line, 64);
	for (int64_t i = 0; i < n && cron_next(cron, zone, from, &from); i++) {
		buf_clear(&line);
		timestamp_add(&line, from);
		printf("%.*s\n", (int)line.n, line.p);
	}
	buf_release(&line);
	return fflush(stdout) ? EXIT_NOT_DONE : EXIT_DONE;
}

int command_next(int argc, char **argv)
{
	struct option_value values[OPTIONS_N] = { 0 };
	struct option_set set = { .options = options, .options_n = OPTIONS_N, .values = values };
	struct wall from = clock_read().wall;
	struct cron_problem problem;
	struct error error;
	struct cron cron;
	int64_t n;

	if (options_read(&set, argc, argv, &error))
		return refuse(error.text);
	if (values[OPTION_HELP].n) {
		printf("seed-scheduler next \"CRON\" [--timezone Z] [--from T] [-n N]\n\n");
		options_print(options, OPTIONS_N);
		return EXIT_DONE;
	}
	if (set.words_n != 1)
		return refuse("next takes one cron entry, in quotes: seed-scheduler next \"0 9 * * mon-fri\"");
	if (option_number(&set, OPTION_N, 1, NEXT_N_MAX, &n, &error))
		return refuse(error.text);
	if (values[OPTION_FROM].n && timestamp_parse(option_text(&set, OPTION_FROM), &from) != TIMESTAMP_OK)
		return refuse("--from: give an instant such as 2030-01-01T09:00:00Z");
	if (!cron_parse(set.words[0], 0, &cron, &problem)) {
		fprintf(stderr, "seed-scheduler: %.*s is not a valid crontab string: %s\n", STR_ARG(set.words[0]),
			problem.text);
		return EXIT_USAGE;
	}
	if (!cron_ever_occurs(&cron))
		return refuse("this entry never occurs; check its day and month");
	struct zonefile_cache *zones = zonefile_cache_new(NULL);
	const struct zone *zone = zonefile_find(zones, option_text(&set, OPTION_TIMEZONE));
	int code = zone ? print_next(&cron, zone, from, n)
			: refuse("--timezone: no such zone; give an IANA name such as Europe/Berlin");

	zonefile_cache_free(zones);
	return code;
}
