/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line, one argument a line: every value read is an argument's or the default, words keep their order,
 * "--flag=value" means "--flag value", and a refusal has words. */
#include "fuzz.h"

#include "cli/options.h"

enum { ARGUMENTS_MAX = 96, OPTIONS_N = 4 };

static const struct option options[OPTIONS_N] = {
	{ .flag = "--listen", .value_name = "ADDR:PORT", .fallback = "127.0.0.1:8000", .help = "where to listen" },
	{ .flag = "--allow", .value_name = "CIDR", .help = "a network", .repeats = true },
	{ .flag = "--limit", .value_name = "N", .fallback = "5", .help = "a number" },
	{ .flag = "--help", .help = "this" },
};

struct arguments {
	char *argv[ARGUMENTS_MAX + 1]; /* owned */
	int n;
};

static void arguments_add(struct arguments *arguments, struct str text)
{
	char *copy = memory_new(text.n + 1);

	assert(arguments->n < ARGUMENTS_MAX);
	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	arguments->argv[arguments->n++] = copy;
}

static void arguments_release(struct arguments *arguments)
{
	for (int i = 0; i < arguments->n; i++)
		free(arguments->argv[i]);
}

static bool is_argument(const struct arguments *arguments, struct str value)
{
	for (int i = 0; i < arguments->n; i++)
		if (str_ends_with(str_from(arguments->argv[i]), value))
			return true;
	return false;
}

static enum err read(const struct arguments *arguments, struct option_set *set, struct option_value *values)
{
	struct error error = { .text = "" };
	enum err err;

	memset(values, 0, OPTIONS_N * sizeof *values);
	*set = (struct option_set){ .options = options, .options_n = OPTIONS_N, .values = values };
	err = options_read(set, arguments->n, (char **)(uintptr_t)arguments->argv, &error);
	assert(err == ERR_OK || (err == ERR_INVALID && error.code == err && error.text[0]));
	assert(strnlen(error.text, sizeof error.text) < sizeof error.text);
	return err;
}

static void check_number(const struct option_set *set)
{
	struct error error;
	int64_t number = 0, again;

	if (option_number(set, 2, 1, 100, &number, &error) == ERR_OK)
		assert(number >= 1 && number <= 100 && str_to_i64(option_text(set, 2), &again) && again == number);
	else
		assert(error.code == ERR_INVALID && strstr(error.text, "--limit"));
}

/* What was read, written as "--flag=value", then "--" and the words. */
static void check_again(const struct option_set *set)
{
	struct arguments arguments = { 0 };
	struct option_set again;
	struct option_value values[OPTIONS_N];

	for (unsigned i = 0; i < OPTIONS_N; i++)
		for (unsigned k = 0; set->values[i].is_given && k < set->values[i].n; k++) {
			struct arena arena = { 0 };
			struct str value = set->values[i].values[k];

			arguments_add(&arguments, options[i].value_name ? arena_printf(&arena, "%s=%.*s",
										       options[i].flag, STR_ARG(value))
									: str_from(options[i].flag));
			arena_release(&arena);
		}
	arguments_add(&arguments, STR("--"));
	for (unsigned i = 0; i < set->words_n; i++)
		arguments_add(&arguments, set->words[i]);
	assert(read(&arguments, &again, values) == ERR_OK && again.words_n == set->words_n);
	for (unsigned i = 0; i < set->words_n; i++)
		assert(str_equal(again.words[i], set->words[i]));
	for (unsigned i = 0; i < OPTIONS_N; i++) {
		assert(values[i].n == set->values[i].n && values[i].is_given == set->values[i].is_given);
		for (unsigned k = 0; k < values[i].n; k++)
			assert(str_equal(values[i].values[k], set->values[i].values[k]));
	}
	arguments_release(&arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size };
	struct arguments arguments = { 0 };
	struct option_value values[OPTIONS_N];
	struct option_set set;

	while (rest.p && arguments.n < ARGUMENTS_MAX) {
		struct str line = str_split(rest, '\n', &rest);

		arguments_add(&arguments, str_slice(line, 0, str_find(line, '\0')));
	}
	if (read(&arguments, &set, values) == ERR_OK) {
		assert(set.words_n <= OPTION_WORDS_MAX);
		for (unsigned i = 0; i < OPTIONS_N; i++)
			for (unsigned k = 0; values[i].is_given && options[i].value_name && k < values[i].n; k++)
				assert(is_argument(&arguments, values[i].values[k]));
		assert(values[0].n == 1 && values[2].n == 1 && values[1].n <= OPTION_REPEATS_MAX);
		check_number(&set);
		check_again(&set);
	}
	arguments_release(&arguments);
	return 0;
}
