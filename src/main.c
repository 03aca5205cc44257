/* SPDX-License-Identifier: BSD-3-Clause */
/* The program's commands in one table. seed-scheduler(8) describes them. */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "cli/commands.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *form, *help;
} commands[] = {
	{ "serve", command_serve, "serve [OPTION]...", "take schedules over HTTP and call their endpoints" },
	{ "user", command_user, "user create NAME --email E [--admin] [--password-file F]",
	  "make a user; without a password it can only use tokens" },
	{ "user", command_user, "user list | disable NAME | enable NAME | delete NAME", "show or change users" },
	{ "user", command_user, "user passwd NAME [--password-file F]", "set a password, from the file or typed" },
	{ "group", command_group, "group create NAME | add NAME USER | list", "groups of users" },
	{ "token", command_token, "token create USER", "print a new API token, once, alone on stdout" },
	{ "token", command_token, "token list [USER] | revoke ID", "show tokens' first digits, or end one" },
	{ "check", command_check, "check", "prove that no run is unaccounted for and that the database is whole" },
	{ "next", command_next, "next \"CRON\" [--timezone Z] [--from T] [-n N]",
	  "print the next instants of a cron entry, one a line, UTC" },
};

enum { COMMANDS_N = sizeof commands / sizeof commands[0] };

static int print_help(void)
{
	printf("seed-scheduler calls HTTP endpoints at their time, once, and again until they answer.\n\nCommands:\n");
	for (size_t i = 0; i < COMMANDS_N; i++)
		printf("  seed-scheduler %s\n      %s\n", commands[i].form, commands[i].help);
	printf("\nAll but next take --database URL (default sqlite:var/scheduler.db, or SCHEDULER_DATABASE).\n"
	       "'seed-scheduler COMMAND --help' lists a command's options. Results go to stdout, diagnostics to stderr.\n"
	       "Exit code: 0 done, 1 not done, 2 wrong command line or configuration.\n");
	return EXIT_DONE;
}

/* Secrets live in this process: no core dump, no debugger of another process, files for the owner alone. */
static void protect_process(void)
{
	struct rlimit none = { 0, 0 };

	umask(077);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

int main(int argc, char **argv)
{
	protect_process();
	if (argc < 2) {
		fprintf(stderr, "seed-scheduler: no command; try 'seed-scheduler --help'\n");
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("seed-scheduler %s\n", SEED_VERSION);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return print_help();
	for (size_t i = 0; i < COMMANDS_N; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 2, argv + 2);
	fprintf(stderr, "seed-scheduler: unknown command '%s'; 'seed-scheduler --help' lists the commands\n", argv[1]);
	return EXIT_USAGE;
}
