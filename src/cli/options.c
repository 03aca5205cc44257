/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads flags before environment before defaults; every refusal says which flag and what would be right. */
#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LINE_BYTES_MAX = 4096 };

enum err option_file_line(const char *path, struct arena *arena, struct str *line, struct error *error)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return error_set(error, ERR_INVALID, "%s: %s; give a readable file", path, strerror(errno));
	char *text = arena_alloc(arena, FILE_LINE_BYTES_MAX + 1);
	size_t n = fread(text, 1, FILE_LINE_BYTES_MAX, file);

	fclose(file);
	text[n] = '\0';
	*line = (struct str){ text, strcspn(text, "\r\n") };
	return line->n ? ERR_OK
		       : error_set(error, ERR_INVALID, "%s: the first line is empty; put the secret there", path);
}

static enum err add_value(const struct option *option, struct option_value *value, struct str text, const char *name,
			  struct error *error)
{
	if (value->n >= (option->repeats ? OPTION_REPEATS_MAX : 1))
		return error_set(error, ERR_INVALID, "%s: given too often; %s", name,
				 option->repeats ? "64 times at most" : "give it once");
	value->values[value->n++] = text;
	value->is_given = true;
	return ERR_OK;
}

static int find_flag(const struct option_set *set, struct str name)
{
	for (unsigned i = 0; i < set->options_n; i++)
		if (set->options[i].flag && str_equal(str_from(set->options[i].flag), name))
			return (int)i;
	return -1;
}

/* One flag at argv[at]; *used is 1 or 2. */
static enum err read_flag(struct option_set *set, int at, int argc, char **argv, int *used, struct error *error)
{
	struct str value, name = str_split(str_from(argv[at]), '=', &value);
	int index = find_flag(set, name);

	*used = 1;
	if (index < 0)
		return error_set(error, ERR_INVALID, "unknown option %s; --help lists the options", argv[at]);
	const struct option *option = &set->options[index];

	if (!option->value_name) {
		if (value.p)
			return error_set(error, ERR_INVALID, "%s takes no value", option->flag);
		return add_value(option, &set->values[index], STR("yes"), option->flag, error);
	}
	if (!value.p) {
		if (at + 1 >= argc)
			return error_set(error, ERR_INVALID, "%s needs a value: %s %s", option->flag, option->flag,
					 option->value_name);
		value = str_from(argv[at + 1]);
		*used = 2;
	}
	return add_value(option, &set->values[index], value, option->flag, error);
}

static enum err read_environment(const struct option *option, struct option_value *value, struct arena *arena,
				 struct error *error)
{
	char file_variable[80];
	const char *text = getenv(option->environment);
	struct str rest = text ? str_from(text) : (struct str){ NULL, 0 };

	snprintf(file_variable, sizeof file_variable, "%s_FILE", option->environment);
	if (!text && option->may_be_file && getenv(file_variable)) {
		enum err err = option_file_line(getenv(file_variable), arena, &rest, error);

		if (err)
			return err;
	}
	if (rest.n == 0)
		return ERR_OK;
	value->is_from_environment = true;
	if (!option->repeats)
		return add_value(option, value, rest, option->environment, error);
	while (rest.p) {
		struct str part = str_trim(str_split(rest, ',', &rest));
		enum err err = part.n ? add_value(option, value, part, option->environment, error) : ERR_OK;

		if (err)
			return err;
	}
	return ERR_OK;
}

enum err options_read(struct option_set *set, int argc, char **argv, struct error *error)
{
	bool flags_ended = false;

	for (int at = 0, used = 1; at < argc; at += used) {
		used = 1;
		if (!flags_ended && strcmp(argv[at], "--") == 0) {
			flags_ended = true;
		} else if (!flags_ended && argv[at][0] == '-' && argv[at][1] != '\0') {
			enum err err = read_flag(set, at, argc, argv, &used, error);

			if (err)
				return err;
		} else if (set->words_n == OPTION_WORDS_MAX) {
			return error_set(error, ERR_INVALID, "too many arguments at '%s'; --help shows the form",
					 argv[at]);
		} else {
			set->words[set->words_n++] = str_from(argv[at]);
		}
	}
	for (unsigned i = 0; i < set->options_n; i++) {
		const struct option *option = &set->options[i];
		struct option_value *value = &set->values[i];

		if (value->n == 0 && option->environment) {
			enum err err = read_environment(option, value, set->arena, error);

			if (err)
				return err;
		}
		if (value->n == 0 && option->fallback)
			value->values[value->n++] = str_from(option->fallback);
	}
	return ERR_OK;
}

struct str option_text(const struct option_set *set, unsigned index)
{
	const struct option_value *value = &set->values[index];

	return value->n ? value->values[0] : (struct str){ NULL, 0 };
}

const char *option_name(const struct option_set *set, unsigned index)
{
	const struct option *option = &set->options[index];

	return option->flag && !set->values[index].is_from_environment ? option->flag : option->environment;
}

enum err option_number(const struct option_set *set, unsigned index, int64_t min, int64_t max, int64_t *number,
		       struct error *error)
{
	struct str text = option_text(set, index);
	const char *name = option_name(set, index);

	if (!str_to_i64(text, number) || *number < min || *number > max)
		return error_set(error, ERR_INVALID, "%s: '%.*s' is not a whole number from %lld to %lld", name,
				 STR_ARG(text), (long long)min, (long long)max);
	return ERR_OK;
}

void options_print(const struct option *options, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct option *option = &options[i];
		char left[64];

		snprintf(left, sizeof left, "%s%s%s", option->flag ? option->flag : option->environment,
			 option->value_name && option->flag ? " " : "",
			 option->value_name && option->flag ? option->value_name : "");
		printf("  %-34s %s", left, option->help);
		if (option->fallback)
			printf(" (default %s)", option->fallback);
		if (option->flag && option->environment)
			printf(" [%s]", option->environment);
		printf("\n");
	}
}
