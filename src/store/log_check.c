/* SPDX-License-Identifier: BSD-3-Clause */
/* Follows the chain of sums to its first break, as recovery does, and looks behind it for a whole commit with a whole
 * frame after it.
 *
 * Each frame's sum goes on from the one before, so a frame that fits was written right behind its neighbour; and a
 * frame behind a commit is written only when the commit's sync has returned (synchronous=FULL). What an earlier, torn
 * commit has left behind the end never fits what was written over its beginning. */
#include "store/log_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { HEADER_BYTES = 32, FRAME_HEADER_BYTES = 24, PAGE_BYTES_MIN = 512, PAGE_BYTES_MAX = 65536 };

#define MAGIC UINT32_C(0x377f0682) /* the lowest bit: sums are of big-endian words */

struct chain {
	const struct log_reader *reader;
	bool is_big_endian;
	int64_t page_bytes;
	uint8_t salts[8];
	uint32_t sum[2]; /* as the last frame looked at has it */
	uint8_t *frame;	 /* owned */
	bool is_commit;	 /* the last frame that fitted */
};

static uint32_t big_endian(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t word_at(const struct chain *chain, const uint8_t *at)
{
	uint32_t word = big_endian(at);

	return chain->is_big_endian ? word : __builtin_bswap32(word);
}

static void add(const struct chain *chain, uint32_t sum[2], const uint8_t *bytes, int64_t n)
{
	for (int64_t i = 0; i < n; i += 8) {
		sum[0] += word_at(chain, bytes + i) + sum[1];
		sum[1] += word_at(chain, bytes + i + 4) + sum[0];
	}
}

static void note_sum(struct chain *chain, const uint8_t *stored)
{
	chain->sum[0] = big_endian(stored);
	chain->sum[1] = big_endian(stored + 4);
}

static bool read_header(struct chain *chain)
{
	uint8_t header[HEADER_BYTES];
	uint32_t sum[2] = { 0 };

	if (!chain->reader->read(chain->reader->ctx, header, sizeof header, 0))
		return false;
	chain->is_big_endian = big_endian(header) & 1;
	chain->page_bytes = big_endian(header + 8);
	memcpy(chain->salts, header + 16, sizeof chain->salts);
	note_sum(chain, header + 24);
	add(chain, sum, header, 24);
	return (big_endian(header) & ~UINT32_C(1)) == MAGIC && sum[0] == chain->sum[0] && sum[1] == chain->sum[1] &&
	       chain->page_bytes >= PAGE_BYTES_MIN && chain->page_bytes <= PAGE_BYTES_MAX &&
	       chain->page_bytes % PAGE_BYTES_MIN == 0;
}

static bool has_frame(const struct chain *chain, int64_t index)
{
	int64_t bytes = FRAME_HEADER_BYTES + chain->page_bytes;

	return HEADER_BYTES + (index + 1) * bytes <= chain->reader->bytes &&
	       chain->reader->read(chain->reader->ctx, chain->frame, (size_t)bytes, HEADER_BYTES + index * bytes);
}

/* Whether the frame that was read goes on from the one before. */
static bool fits(struct chain *chain)
{
	uint32_t sum[2] = { chain->sum[0], chain->sum[1] };
	const uint8_t *frame = chain->frame;
	bool is_of_log = memcmp(frame + 8, chain->salts, sizeof chain->salts) == 0;

	if (is_of_log) {
		add(chain, sum, frame, 8);
		add(chain, sum, frame + FRAME_HEADER_BYTES, chain->page_bytes);
	}
	note_sum(chain, frame + 16);
	is_of_log = is_of_log && sum[0] == chain->sum[0] && sum[1] == chain->sum[1];
	chain->is_commit = is_of_log && big_endian(frame + 4) != 0;
	return is_of_log;
}

bool log_is_damaged(const struct log_reader *reader)
{
	struct chain chain = { .reader = reader };
	bool is_damaged = false;
	int64_t index = 0;

	/* The head is synced before the first frame is written. */
	if (reader->bytes < HEADER_BYTES + FRAME_HEADER_BYTES + PAGE_BYTES_MIN)
		return false;
	if (!read_header(&chain))
		return true;
	chain.frame = memory_new((size_t)(FRAME_HEADER_BYTES + chain.page_bytes));
	while (has_frame(&chain, index) && fits(&chain))
		index++;
	chain.is_commit = false;
	for (index++; !is_damaged && has_frame(&chain, index); index++) {
		bool was_commit = chain.is_commit;

		is_damaged = fits(&chain) && was_commit;
	}
	free(chain.frame);
	return is_damaged;
}
