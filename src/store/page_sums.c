/* SPDX-License-Identifier: BSD-3-Clause */
/* Takes the place of the file's read and write; everything else goes straight to the file.
 *
 * The sum is over the page's other bytes and its place in the file, eight bytes a step in four lanes. Every step is a
 * one-to-one function of what came before, so that damage within eight bytes always changes the sum; wider damage goes
 * unnoticed once in 2^64. A sum of zero is none: the page comes from another program's copy (VACUUM INTO leaves zeros
 * there), or the file grew beyond it and it was never written. */
#include "store/page_sums.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

enum { PAGE_BYTES = 4096, SUM_BYTES = 8, LANES = 4, HEADER_BYTES = 100 };
/* In the database's header. */
enum { PAGE_BYTES_AT = 16, RESERVED_BYTES_AT = 20 };

static uint64_t mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
	return sum ^ sum >> 29;
}

static uint64_t word_at(const uint8_t *page, size_t index)
{
	uint64_t word;

	memcpy(&word, page + index * sizeof word, sizeof word);
	return le64toh(word);
}

static uint64_t page_sum(const uint8_t *page, sqlite3_int64 at)
{
	enum { WORDS = (PAGE_BYTES - SUM_BYTES) / SUM_BYTES };
	uint64_t lanes[LANES] = { 1, 2, 3, 4 }, sum = mix(1, (uint64_t)at);
	size_t i = 0;

	for (; i + LANES <= WORDS; i += LANES)
		for (size_t lane = 0; lane < LANES; lane++)
			lanes[lane] = mix(lanes[lane], word_at(page, i + lane));
	for (; i < WORDS; i++)
		sum = mix(sum, word_at(page, i));
	for (size_t lane = 0; lane < LANES; lane++)
		sum = mix(sum, lanes[lane]);
	return sum ? sum : 1;
}

/* The file's first bytes say whether its pages have room for a sum. */
static void look_at_header(struct page_sums *sums, const uint8_t *header)
{
	static const char magic[16] = "SQLite format 3";

	sums->is_on = memcmp(header, magic, sizeof magic) == 0 &&
		      (header[PAGE_BYTES_AT] << 8 | header[PAGE_BYTES_AT + 1]) == PAGE_BYTES &&
		      header[RESERVED_BYTES_AT] == SUM_BYTES;
}

static struct page_sums *sums_of(sqlite3_file *file)
{
	return (struct page_sums *)(uintptr_t)file->pMethods;
}

static bool is_page(int n, sqlite3_int64 at)
{
	return n == PAGE_BYTES && at % PAGE_BYTES == 0;
}

static int on_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	struct page_sums *sums = sums_of(file);
	int code = sums->below->xRead(file, to, n, at);

	if (code != SQLITE_OK)
		return code;
	if (at == 0 && n >= HEADER_BYTES)
		look_at_header(sums, to);
	if (!sums->is_on || !is_page(n, at))
		return SQLITE_OK;
	uint64_t stored = word_at(to, PAGE_BYTES / SUM_BYTES - 1);

	if (stored == 0 || stored == page_sum(to, at))
		return SQLITE_OK;
	sums->damaged_page = at / PAGE_BYTES + 1;
	return SQLITE_CORRUPT_INDEX;
}

static int on_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	struct page_sums *sums = sums_of(file);
	uint8_t page[PAGE_BYTES];

	if (at == 0 && n >= HEADER_BYTES)
		look_at_header(sums, from);
	if (!sums->is_on || !is_page(n, at))
		return sums->below->xWrite(file, from, n, at);
	memcpy(page, from, PAGE_BYTES);
	uint64_t sum = htole64(page_sum(page, at));

	memcpy(page + PAGE_BYTES - SUM_BYTES, &sum, SUM_BYTES);
	return sums->below->xWrite(file, page, n, at);
}

int page_sums_begin(struct page_sums *sums, sqlite3 *db)
{
	sqlite3_file *file = NULL;
	uint8_t header[HEADER_BYTES];
	int reserved = SUM_BYTES;
	int code = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

	if (code != SQLITE_OK)
		return code;
	sums->below = file->pMethods;
	sums->methods = *file->pMethods;
	sums->methods.xRead = on_read;
	sums->methods.xWrite = on_write;
	file->pMethods = &sums->methods;
	code = on_read(file, header, sizeof header, 0);
	if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ)
		return code;
	return sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
}
