/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line from a table: flags, the environment variables behind them, defaults and help texts. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/arena.h"
#include "base/err.h"

enum { OPTION_REPEATS_MAX = 64, OPTION_WORDS_MAX = 8 };

struct option {
	const char *flag;	 /* "--listen"; NULL: only the environment sets it */
	const char *environment; /* NULL: only the flag sets it */
	const char *value_name;	 /* "ADDR:PORT"; NULL: the flag stands alone */
	const char *fallback;	 /* the default as text; NULL: none */
	const char *help;
	bool repeats;	  /* may be given several times; the environment's value is split at commas */
	bool may_be_file; /* the variable NAME_FILE may name a file that holds the value (a secret) */
};

struct option_value {
	struct str values[OPTION_REPEATS_MAX]; /* borrowed from argv, the environment or the set's arena */
	unsigned n;
	bool is_given; /* not the fallback */
	bool is_from_environment;
};

struct option_set {
	const struct option *options;
	unsigned options_n;
	struct option_value *values;	    /* one each */
	struct str words[OPTION_WORDS_MAX]; /* what is no flag, in order */
	unsigned words_n;
	struct arena *arena; /* for what is read from files; NULL when no option may be a file */
};

/* Reads argv[0..argc) (without the command's own words), then the environment for what no flag set, then the defaults.
 * ERR_INVALID names the flag and the remedy. "--flag value" and "--flag=value"; "--" ends the flags. */
enum err options_read(struct option_set *set, int argc, char **argv, struct error *error) MUST_CHECK;
/* The value of an option by its index; absent when there is none. */
struct str option_text(const struct option_set *set, unsigned index);
/* The flag, or the variable when the value came from there: for messages. */
const char *option_name(const struct option_set *set, unsigned index);
/* A whole number from `min` to `max`; the fallback must be valid. */
enum err option_number(const struct option_set *set, unsigned index, int64_t min, int64_t max, int64_t *number,
		       struct error *error) MUST_CHECK;
/* The lines for --help. */
void options_print(const struct option *options, unsigned n);
/* The first line of a file, without its end; at most 4096 bytes, in the arena. */
enum err option_file_line(const char *path, struct arena *arena, struct str *line, struct error *error) MUST_CHECK;

#endif
