/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a fuzz target without a fuzzer: every file of a folder, then a fixed number of cheap mutations of each.
 *
 *	fuzz_json folder [mutations]
 *
 * The mutations depend on the file's bytes alone, so that a failure can be repeated: the number on the last line is the
 * one that failed. A file may be named instead of the folder. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { FILES_MAX = 256, FILE_BYTES_MAX = 1 << 20, STEPS_MAX = 4 };

struct corpus {
	struct str files[FILES_MAX]; /* owned */
	char *names[FILES_MAX];	     /* owned */
	size_t n;
};

static void corpus_add(struct corpus *corpus, const char *path)
{
	FILE *file = fopen(path, "rb");
	char *bytes = memory_new(FILE_BYTES_MAX);

	if (!file || corpus->n == FILES_MAX) {
		fprintf(stderr, "%s: cannot be read, or is one too many\n", path);
		exit(2);
	}
	corpus->names[corpus->n] = strdup(path);
	corpus->files[corpus->n++] = (struct str){ bytes, fread(bytes, 1, FILE_BYTES_MAX, file) };
	fclose(file);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void corpus_add_folder(struct corpus *corpus, const char *folder)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, is_visible, alphasort);

	for (int i = 0; i < n; i++) {
		char path[1024];

		snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		corpus_add(corpus, path);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

static void run(struct str bytes)
{
	struct str copy = fuzz_copy(bytes);

	LLVMFuzzerTestOneInput((const uint8_t *)copy.p, copy.n);
	fuzz_free(copy);
}

/* Puts `with` in the place of n bytes at `at`. */
static void replace(struct buf *bytes, size_t at, size_t n, struct str with)
{
	struct str tail = fuzz_copy(str_slice(buf_str(bytes), at + n, bytes->n));

	bytes->n = at;
	buf_add(bytes, with);
	buf_add(bytes, tail);
	fuzz_free(tail);
}

/* One step away from what the bytes are. */
static void mutate(struct buf *bytes, const struct corpus *corpus, uint64_t *dice)
{
	struct str other = corpus->files[fuzz_dice(dice, corpus->n)];
	size_t at = fuzz_dice(dice, bytes->n + 1), n = fuzz_dice(dice, 16);
	char byte = (char)fuzz_dice(dice, 256);

	if (bytes->n == 0) {
		buf_add_char(bytes, byte);
		return;
	}
	switch (fuzz_dice(dice, 7)) {
	case 0:
		bytes->p[at % bytes->n] ^= (char)(1 << n % 8);
		break;
	case 1:
		bytes->p[at % bytes->n] = byte;
		break;
	case 2:
		replace(bytes, at, 0, (struct str){ &byte, 1 });
		break;
	case 3:
		replace(bytes, at, n < bytes->n - at ? n : bytes->n - at, STR(""));
		break;
	case 4: {
		struct str again = fuzz_copy(str_slice(buf_str(bytes), at, n));

		replace(bytes, fuzz_dice(dice, bytes->n + 1), 0, again);
		fuzz_free(again);
		break;
	}
	case 5:
		replace(bytes, at, n < bytes->n - at ? n : bytes->n - at,
			str_slice(other, fuzz_dice(dice, other.n + 1), fuzz_dice(dice, 64)));
		break;
	default:
		bytes->n = at;
		break;
	}
}

static void run_mutations(const struct corpus *corpus, struct str file, uint64_t wanted)
{
	uint64_t dice = UINT64_C(0xcbf29ce484222325);
	struct buf bytes;

	for (size_t i = 0; i < file.n; i++)
		dice = (dice ^ (uint8_t)file.p[i]) * UINT64_C(0x100000001b3);
	dice |= 1;
	buf_init(&bytes, 2 * FILE_BYTES_MAX);
	for (uint64_t i = 0; i < wanted; i++) {
		buf_clear(&bytes);
		buf_add(&bytes, file);
		for (uint64_t steps = 1 + fuzz_dice(&dice, STEPS_MAX); steps > 0; steps--)
			mutate(&bytes, corpus, &dice);
		run(buf_str(&bytes));
	}
	buf_release(&bytes);
}

int main(int argc, char **argv)
{
	struct corpus corpus = { 0 };
	uint64_t mutations = 0;
	struct stat status;

	if (argc < 2 || stat(argv[1], &status) != 0 || (argc > 2 && !str_to_u64(str_from(argv[2]), &mutations))) {
		fprintf(stderr, "usage: %s folder-or-file [mutations of each file]\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (S_ISDIR(status.st_mode))
		corpus_add_folder(&corpus, argv[1]);
	else
		corpus_add(&corpus, argv[1]);
	if (corpus.n == 0) {
		fprintf(stderr, "%s: no input\n", argv[1]);
		return 2;
	}
	for (size_t i = 0; i < corpus.n; i++) {
		printf("%s\n", corpus.names[i]);
		run(corpus.files[i]);
		run_mutations(&corpus, corpus.files[i], mutations);
	}
	printf("%zu inputs, %llu mutations of each\n", corpus.n, (unsigned long long)mutations);
	for (size_t i = 0; i < corpus.n; i++) {
		fuzz_free(corpus.files[i]);
		free(corpus.names[i]);
	}
	return 0;
}
