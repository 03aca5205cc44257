/* SPDX-License-Identifier: BSD-3-Clause */
/* The user, group and token commands as typed: reads flags and passwords, then runs the words of accounts.c where the
 * database is writable: here when nobody serves it, else inside the serving process. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/options.h"

enum { PASSWORD_BYTES_MIN = 12, PASSWORD_BYTES_MAX = 256, OPEN_TRIES = 20, OPEN_PAUSE_MS = 50 };

enum option_index {
	OPTION_DATABASE,
	OPTION_KEY_FILE,
	OPTION_EMAIL,
	OPTION_ADMIN,
	OPTION_PASSWORD_FILE,
	OPTION_HELP,
	OPTIONS_N
};

static const struct option options[OPTIONS_N] = {
	[OPTION_DATABASE] = { "--database", "SCHEDULER_DATABASE", "URL", "sqlite:var/scheduler.db",
			      "the service's database", false, false },
	[OPTION_KEY_FILE] = { "--key-file", "SCHEDULER_KEY_FILE", "FILE", NULL,
			      "key that seals secrets; default: beside the database", false, false },
	[OPTION_EMAIL] = { "--email", NULL, "ADDRESS", NULL, "user create: the user's address", false, false },
	[OPTION_ADMIN] = { "--admin", NULL, NULL, NULL, "user create: may mint tokens for others over the API", false,
			   false },
	[OPTION_PASSWORD_FILE] = { "--password-file", NULL, "FILE", NULL, "first line is the password", false, false },
	[OPTION_HELP] = { "--help", NULL, NULL, NULL, "this list", false, false },
};

/* The form of each verb: how many words it takes after noun and verb. */
static const struct form {
	const char *noun, *verb;
	unsigned words_min, words_max;
	const char *usage;
} forms[] = {
	{ "user", "create", 1, 1, "user create NAME --email E [--admin] [--password-file F]" },
	{ "user", "list", 0, 0, "user list" },
	{ "user", "disable", 1, 1, "user disable NAME" },
	{ "user", "enable", 1, 1, "user enable NAME" },
	{ "user", "delete", 1, 1, "user delete NAME" },
	{ "user", "passwd", 1, 1, "user passwd NAME [--password-file F]" },
	{ "group", "create", 1, 1, "group create NAME" },
	{ "group", "add", 2, 2, "group add NAME USER" },
	{ "group", "list", 0, 0, "group list" },
	{ "token", "create", 1, 1, "token create USER" },
	{ "token", "list", 0, 1, "token list [USER]" },
	{ "token", "revoke", 1, 1, "token revoke ID" },
};

static const struct form *find_form(const char *noun, const char *verb)
{
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (strcmp(forms[i].noun, noun) == 0 && verb && strcmp(forms[i].verb, verb) == 0)
			return &forms[i];
	return NULL;
}

static void print_usage(FILE *to, const char *noun)
{
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (strcmp(forms[i].noun, noun) == 0)
			fprintf(to, "  seed-scheduler %s\n", forms[i].usage);
}

/* From the terminal without echo, or one line of whatever standard input is. */
static enum err type_password(struct str *password, struct error *error)
{
	static char line[PASSWORD_BYTES_MAX + 2];
	struct termios before, quiet;
	bool on_terminal = tcgetattr(STDIN_FILENO, &before) == 0;

	if (on_terminal) {
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		fputs("Password: ", stderr);
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	bool got = fgets(line, sizeof line, stdin) != NULL;

	if (on_terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	*password = (struct str){ line, got ? strcspn(line, "\n") : 0 };
	return password->n ? ERR_OK
			   : error_set(error, ERR_INVALID, "no password was typed; give one, or --password-file FILE");
}

static enum err read_password(const struct option_set *set, struct arena *arena, struct str *hash, struct error *error)
{
	struct str file = option_text(set, OPTION_PASSWORD_FILE), password;
	enum err err = file.p ? option_file_line(file.p, arena, &password, error) : type_password(&password, error);

	if (err)
		return err;
	if (password.n < PASSWORD_BYTES_MIN || password.n > PASSWORD_BYTES_MAX)
		return error_set(error, ERR_INVALID, "the password has %zu bytes; choose one of %d to %d", password.n,
				 PASSWORD_BYTES_MIN, PASSWORD_BYTES_MAX);
	*hash = password_hash(arena, password);
	return ERR_OK;
}

static enum err build_command(const struct form *form, const struct option_set *set, struct arena *arena,
			      struct account_command *command, struct error *error)
{
	struct str *words = command->words;
	enum err err = ERR_OK;

	words[0] = str_from(form->noun);
	words[1] = str_from(form->verb);
	for (unsigned i = 0; i < set->words_n; i++)
		words[2 + i] = set->words[i];
	command->words_n = 2 + set->words_n;
	if (form == find_form("user", "create")) {
		words[3] = option_text(set, OPTION_EMAIL);
		words[4] = option_text(set, OPTION_ADMIN).p ? STR("admin") : STR("");
		words[5] = STR("");
		command->words_n = 6;
		if (!words[3].p)
			return error_set(error, ERR_INVALID, "--email is missing: %s", form->usage);
		if (option_text(set, OPTION_PASSWORD_FILE).p)
			err = read_password(set, arena, &words[5], error);
	} else if (strcmp(form->verb, "passwd") == 0) {
		err = read_password(set, arena, &words[3], error);
		command->words_n = 4;
	}
	for (unsigned i = 2; i < command->words_n && err == ERR_OK; i++)
		if (words[i].n > 254 || (i < 4 && words[i].n == 0))
			err = error_set(error, ERR_INVALID, "'%.*s' must have 1 to 254 bytes", STR_ARG(words[i]));
	return err;
}

struct local_call {
	const struct account_command *command;
	struct account_answer *answer;
};

static enum err run_local(struct store *store, struct store_job *job)
{
	struct local_call *call = job->ctx;

	return account_run(store, call->command, clock_read().wall, call->answer);
}

/* The database is either free, and then it is ours for a moment, or served, and then the server does it; it may change
 * between the two looks. */
static enum err execute(const struct store_settings *settings, const struct account_command *command,
			struct account_answer *answer, struct error *error)
{
	struct local_call call = { command, answer };
	struct timespec pause = { .tv_nsec = OPEN_PAUSE_MS * 1000000L };
	struct store *store;
	struct str path;
	enum err err = store_url_check(settings->url, &path, error);

	/* A first user may come before the service; for anything else a database that is not there is a mistyped path.
	 */
	if (err == ERR_OK && !str_equal(command->words[1], STR("create")) && access(path.p, F_OK) && errno == ENOENT)
		return error_set(error, ERR_NOT_FOUND, "there is no database %s; 'serve' or 'user create' make one",
				 path.p);
	for (int i = 0; err == ERR_OK && i < OPEN_TRIES; i++) {
		enum err opened = store_open_writer(settings, &store, error);

		if (opened == ERR_OK) {
			err = store_run_now(store, run_local, &call, error);
			store_close(store);
			return err;
		}
		if (opened != ERR_LOCKED)
			return opened;
		enum err called = control_call(path, command, answer, error);

		if (called != ERR_NOT_FOUND)
			return called;
		nanosleep(&pause, NULL);
	}
	return err ? err
		   : error_set(error, ERR_LOCKED,
			       "the database is held by process %d, which does not answer; stop it or try again",
			       store_lock_holder(settings->url));
}

static int run_form(const struct form *form, const struct option_set *set)
{
	struct store_settings settings = { .url = option_text(set, OPTION_DATABASE),
					   .key_file = option_text(set, OPTION_KEY_FILE),
					   .interval_us_min = US_PER_SECOND };
	struct account_command command = { 0 };
	struct account_answer answer;
	struct arena arena = { 0 };
	struct error error = { 0 };
	int code = EXIT_NOT_DONE;

	account_answer_init(&answer);
	enum err err = build_command(form, set, &arena, &command, &error);

	if (err)
		code = EXIT_USAGE;
	else
		err = execute(&settings, &command, &answer, &error);
	if (err) {
		fprintf(stderr, "seed-scheduler: %s\n", error.text[0] ? error.text : err_name(err));
	} else {
		if (answer.out.n)
			fwrite(answer.out.p, 1, answer.out.n, stdout);
		if (answer.text.n)
			fprintf(stderr, "seed-scheduler: %.*s", (int)answer.text.n, answer.text.p);
		code = answer.exit_code;
	}
	account_answer_release(&answer);
	arena_release(&arena);
	if (fflush(stdout)) {
		fprintf(stderr, "seed-scheduler: standard output: %s\n", strerror(errno));
		code = EXIT_NOT_DONE;
	}
	return code;
}

static int run_noun(const char *noun, int argc, char **argv)
{
	struct option_value values[OPTIONS_N] = { 0 };
	struct option_set set = { .options = options, .options_n = OPTIONS_N, .values = values };
	struct error error;
	const struct form *form = find_form(noun, argc > 0 ? argv[0] : NULL);
	enum err err = options_read(&set, form ? argc - 1 : argc, form ? argv + 1 : argv, &error);

	if (err == ERR_OK && values[OPTION_HELP].n) {
		print_usage(stdout, noun);
		options_print(options, OPTIONS_N);
		return EXIT_DONE;
	}
	if (err == ERR_OK && form && set.words_n >= form->words_min && set.words_n <= form->words_max)
		return run_form(form, &set);
	if (err)
		fprintf(stderr, "seed-scheduler: %s\n", error.text);
	else
		fprintf(stderr, "seed-scheduler: that is no form of '%s'; the forms are:\n", noun);
	print_usage(stderr, noun);
	return EXIT_USAGE;
}

int command_user(int argc, char **argv)
{
	return run_noun("user", argc, argv);
}

int command_group(int argc, char **argv)
{
	return run_noun("group", argc, argv);
}

int command_token(int argc, char **argv)
{
	return run_noun("token", argc, argv);
}
