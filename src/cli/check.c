/* SPDX-License-Identifier: BSD-3-Clause */
/* `seed-scheduler check`: the proof of P3's sum and of the database's integrity, beside a running service or without
 * one. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "store/store.h"

enum option_index { OPTION_DATABASE, OPTION_KEY_FILE, OPTION_HELP, OPTIONS_N };

static const struct option options[OPTIONS_N] = {
	[OPTION_DATABASE] = { "--database", "SCHEDULER_DATABASE", "URL", "sqlite:var/scheduler.db",
			      "the service's database", false, false },
	[OPTION_KEY_FILE] = { "--key-file", "SCHEDULER_KEY_FILE", "FILE", NULL,
			      "key that seals secrets; default: beside the database", false, false },
	[OPTION_HELP] = { "--help", NULL, NULL, NULL, "this list", false, false },
};

static void print_check(const struct store_check *check)
{
	printf("schedules   %lld\n", (long long)check->schedules);
	printf("planned     %lld\n", (long long)check->planned);
	printf("delivered   %lld\n", (long long)check->delivered);
	printf("failed      %lld (failed tasks kept: %lld)\n", (long long)check->failed, (long long)check->failures);
	printf("cancelled   %lld\n", (long long)check->cancelled);
	printf("skipped     %lld\n", (long long)check->skipped);
	printf("open        %lld\n", (long long)check->open);
	printf("sum         %s\n",
	       check->sum_holds ? "holds: planned = delivered + failed + cancelled + skipped + open"
				: "DOES NOT HOLD: runs are missing or counted twice; keep the file and report it");
	printf("integrity   %s\n", check->integrity_ok ? "ok" : check->integrity);
}

int command_check(int argc, char **argv)
{
	struct option_value values[OPTIONS_N] = { 0 };
	struct option_set set = { .options = options, .options_n = OPTIONS_N, .values = values };
	struct store_check check = { 0 };
	struct store *store = NULL;
	struct error error = { 0 };

	if (options_read(&set, argc, argv, &error) || set.words_n) {
		fprintf(stderr, "seed-scheduler: %s\n",
			error.text[0] ? error.text : "check takes no words, only options; see --help");
		return EXIT_USAGE;
	}
	if (values[OPTION_HELP].n) {
		options_print(options, OPTIONS_N);
		return EXIT_DONE;
	}
	struct store_settings settings = { .url = option_text(&set, OPTION_DATABASE),
					   .key_file = option_text(&set, OPTION_KEY_FILE) };
	enum err err = store_open_reader(&settings, &store, &error);

	if (err == ERR_OK)
		err = store_check(store, &check, &error);
	store_close(store);
	if (err) {
		fprintf(stderr, "seed-scheduler: %s\n", error.text[0] ? error.text : err_name(err));
		return EXIT_NOT_DONE;
	}
	print_check(&check);
	return check.sum_holds && check.integrity_ok ? EXIT_DONE : EXIT_NOT_DONE;
}
