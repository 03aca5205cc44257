/* SPDX-License-Identifier: BSD-3-Clause */
/* One function a verb; a table says how often each is drawn. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "dice.h"
#include "fixed_chance.h"

struct play {
	struct store *store;
	struct books *books;
	uint64_t *dice;
	struct arena arena;
};

static int64_t draw(struct play *play, int64_t low, int64_t high)
{
	return between(play->dice, low, high);
}

/* --- schedules ------------------------------------------------------------------------------------------- */

/* Mostly a few hundred bytes, sometimes several pages. */
static struct str draw_payload(struct play *play)
{
	struct buf buf;
	int64_t n = chance(play->dice, 10) ? draw(play, 4000, 30000) : draw(play, 0, 400);

	buf_init(&buf, 32768);
	buf_add(&buf, STR("{\"text\":\""));
	for (int64_t i = 0; i < n; i++)
		buf_add_char(&buf, (char)('a' + (next_dice(play->dice) % 26)));
	buf_add(&buf, STR("\"}"));

	struct str copy = arena_copy(&play->arena, buf_str(&buf));

	buf_release(&buf);
	return copy;
}

static struct schedule_definition draw_definition(struct play *play)
{
	struct schedule_definition definition = {
		.endpoint = arena_printf(&play->arena, "http://host%d.test/%d", (int)draw(play, 0, 4),
					 (int)draw(play, 0, 99)),
		.payload = draw_payload(play),
		.enabled = !chance(play->dice, 10),
		.timezone = STR("UTC"),
		.catch_up = (enum catch_up)draw(play, 0, 2),
		.overlap = chance(play->dice, 40) ? (enum overlap)draw(play, 1, 2) : OVERLAP_ALLOW,
	};

	switch (draw(play, 0, 3)) {
	case 0:
		definition.cron = STR("* * * * *");
		break;
	case 1:
		definition.has_once = true;
		definition.once_at.us = play->books->now.us + draw(play, -10, 300) * US_PER_SECOND;
		break;
	default:
		definition.interval = arena_printf(&play->arena, "%d seconds", (int)draw(play, 1, 90));
	}
	if (chance(play->dice, 20))
		definition.auth_token = STR("a token for the endpoint");
	if (chance(play->dice, 20)) {
		definition.has_frequency = true;
		definition.frequency = draw(play, 1, 20);
	}
	return definition;
}

static const uint8_t *draw_schedule(struct play *play, size_t *index)
{
	if (play->books->schedules_n == 0)
		return NULL;
	*index = (size_t)draw(play, 0, (int64_t)play->books->schedules_n - 1);
	return play->books->schedules[*index];
}

static enum err insert_schedule(struct play *play)
{
	struct schedule_definition definition = draw_definition(play);
	struct schedule schedule;

	if (play->books->schedules_n == BOOKS_SCHEDULES_MAX)
		return ERR_NOT_FOUND;
	enum err err = store_schedule_insert(play->store, &definition, 0, play->books->now, &play->arena, &schedule);

	if (err == ERR_OK)
		memcpy(play->books->schedules[play->books->schedules_n++], schedule.uuid, 16);
	return err;
}

static enum err update_schedule(struct play *play)
{
	size_t index;
	const uint8_t *uuid = draw_schedule(play, &index);
	struct schedule_definition changes = draw_definition(play);
	unsigned set = (unsigned)draw(play, 1, 2 * SCHEDULE_OVERLAP - 1);
	struct schedule schedule;

	return uuid ? store_schedule_update(play->store, uuid, set, &changes, 0, play->books->now, &play->arena,
					    &schedule)
		    : ERR_NOT_FOUND;
}

static enum err delete_schedule(struct play *play)
{
	size_t index;
	const uint8_t *uuid = draw_schedule(play, &index);
	enum err err = uuid ? store_schedule_delete(play->store, uuid, play->books->now) : ERR_NOT_FOUND;

	if (err == ERR_OK)
		memcpy(play->books->schedules[index], play->books->schedules[--play->books->schedules_n], 16);
	return err;
}

/* --- runs ------------------------------------------------------------------------------------------------ */

static enum err claim(struct play *play)
{
	struct books *books = play->books;
	struct wall now = books->now;
	struct store_claim request = { .now = now,
				       .until = { now.us + draw(play, 0, 3 * US_PER_SECOND) },
				       .missed_before = { now.us - 60 * US_PER_SECOND },
				       .room = (uint32_t)draw(play, 1, (int64_t)(BOOKS_RUNS_MAX - books->runs_n)) };
	struct claim_batch batch = { 0 };

	if (books->runs_n == BOOKS_RUNS_MAX)
		return ERR_NOT_FOUND;
	enum err err = store_claim(play->store, &request, &batch);

	for (uint32_t i = 0; err == ERR_OK && i < batch.runs_n; i++) {
		const struct run *run = &batch.runs[i];

		books->runs[books->runs_n++] = (struct books_run){ .id = run->id,
								   .lease = run->lease,
								   .schedule_row = run->schedule_row,
								   .lane = run->lane,
								   .kind = run->kind,
								   .attempts = run->attempts,
								   .budget = run->attempts_budget,
								   .was_failed = run->was_failed };
	}
	arena_release(&batch.arena);
	return err;
}

static struct outcome draw_outcome(struct play *play, enum store_record_kind kind)
{
	struct outcome outcome = { .class = OUTCOME_DELIVERED,
				   .status = 200,
				   .started_at = play->books->now,
				   .duration_us = draw(play, 100, US_PER_SECOND) };

	if (kind == STORE_DELIVERED)
		return outcome;
	outcome.class = chance(play->dice, 50) ? OUTCOME_HTTP : OUTCOME_TIMEOUT;
	outcome.status = outcome.class == OUTCOME_HTTP ? 503 : 0;
	outcome.answer_n = (uint16_t)draw(play, 0, OUTCOME_ANSWER_BYTES_MAX);
	memset(outcome.answer, 'x', outcome.answer_n);
	return outcome;
}

static enum err record(struct play *play)
{
	struct books *books = play->books;
	struct store_record records[BOOKS_RUNS_MAX];
	struct outcome outcomes[BOOKS_RUNS_MAX];
	size_t n = (size_t)draw(play, 0, (int64_t)books->runs_n);

	for (size_t i = 0; i < n; i++) {
		const struct books_run *run = &books->runs[books->runs_n - 1 - i];
		enum store_record_kind kind = (enum store_record_kind)draw(play, STORE_DELIVERED, STORE_PARK);
		bool was_sent = kind <= STORE_FAILED;

		if (kind == STORE_RETRY && run->attempts + 1 >= run->budget)
			kind = STORE_FAILED;
		outcomes[i] = draw_outcome(play, kind);
		records[i] =
			(struct store_record){ .run_id = run->id,
					       .lease = run->lease,
					       .schedule_row = run->schedule_row,
					       .lane = run->lane,
					       .run_kind = run->kind,
					       .kind = kind,
					       .was_failed = run->was_failed,
					       .attempts = run->attempts + was_sent,
					       .eligible_at = { books->now.us + draw(play, 0, 60 * US_PER_SECOND) },
					       .outcome = was_sent ? &outcomes[i] : NULL };
	}
	enum err err = n > 0 ? store_record(play->store, records, n, books->now) : ERR_NOT_FOUND;

	if (err == ERR_OK)
		books->runs_n -= n;
	return err;
}

static enum err requeue(struct play *play)
{
	int64_t n = 0;

	return store_failures_requeue(play->store, play->books->now, &n);
}

/* A week later, now and then, so that there is something to purge. */
static enum err purge(struct play *play)
{
	bool more;

	if (chance(play->dice, 20))
		play->books->now.us += 8 * 24 * 3600 * US_PER_SECOND;
	return store_purge(play->store, play->books->now, 50, &more);
}

/* --- webhooks, accounts ---------------------------------------------------------------------------------- */

static void put_id(struct play *play, struct books_ids *ids, int64_t id)
{
	ids->ids[ids->n < BOOKS_IDS_MAX ? ids->n++ : (size_t)draw(play, 0, BOOKS_IDS_MAX - 1)] = id;
}

/* 0: there is none. */
static int64_t draw_id(struct play *play, const struct books_ids *ids)
{
	return ids->n ? ids->ids[draw(play, 0, (int64_t)ids->n - 1)] : 0;
}

static enum err write_webhook(struct play *play)
{
	struct books *books = play->books;
	struct webhook webhook;
	struct str target = arena_printf(&play->arena, "http://hook.test/%d", (int)draw(play, 0, 999));
	int64_t id = draw_id(play, &books->webhooks);

	if (id && chance(play->dice, 60))
		return store_webhook_delete(play->store, id);
	if (id && chance(play->dice, 50))
		return store_webhook_update(play->store, id, (struct str){ 0 }, target, books->now, &play->arena,
					    &webhook);
	enum err err =
		store_webhook_insert(play->store, STR("schedule.added"), target, 1, books->now, &play->arena, &webhook);

	if (err == ERR_OK)
		put_id(play, &books->webhooks, webhook.id);
	return err;
}

static enum err write_user(struct play *play)
{
	struct books *books = play->books;
	struct user draft = { .username = arena_printf(&play->arena, "user%d", (int)draw(play, 0, 50)),
			      .email = STR("a@b.test"),
			      .is_active = true };
	int64_t id = draw_id(play, &books->users);

	if (id && chance(play->dice, 30))
		return store_user_delete(play->store, id);
	if (id && chance(play->dice, 50))
		return store_user_set_password(play->store, id,
					       arena_printf(&play->arena, "hash%d", (int)draw(play, 0, 999)));
	enum err err = store_user_insert(play->store, &draft, books->now, &id);

	if (err == ERR_OK)
		put_id(play, &books->users, id);
	return err;
}

static bool keep_token(void *ctx, const struct token *token)
{
	struct play *play = ctx;

	put_id(play, &play->books->tokens, token->id);
	return false;
}

static enum err write_token(struct play *play)
{
	struct books *books = play->books;
	int64_t user = draw_id(play, &books->users), token = draw_id(play, &books->tokens);
	uint8_t digest[32];

	if (token && chance(play->dice, 40))
		return store_token_revoke(play->store, token);
	for (size_t i = 0; i < sizeof digest; i++)
		digest[i] = (uint8_t)next_dice(play->dice);
	enum err err = store_token_insert(play->store, user ? user : 1, digest, "abcdefgh", books->now);

	return err == ERR_OK ? store_token_list(play->store, 0, keep_token, play) : err;
}

static enum err probe(struct play *play)
{
	return store_probe(play->store, play->books->now, NULL);
}

/* --- groups ---------------------------------------------------------------------------------------------- */

static const struct {
	unsigned weight;
	enum err (*verb)(struct play *play);
} verbs[] = {
	{ 20, insert_schedule }, { 12, update_schedule }, { 5, delete_schedule }, { 25, claim },
	{ 25, record },		 { 3, requeue },	  { 3, purge },		  { 4, write_webhook },
	{ 2, write_user },	 { 2, write_token },	  { 1, probe },
};

static enum err (*draw_verb(struct play *play))(struct play *play)
{
	int64_t at = 0;

	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		at += verbs[i].weight;
	at = draw(play, 0, at - 1);
	for (size_t i = 0;; i++) {
		at -= verbs[i].weight;
		if (at < 0)
			return verbs[i].verb;
	}
}

/* As the store thread runs a job. */
static enum err run_job(struct play *play)
{
	struct books before = *play->books;
	bool is_undone = chance(play->dice, 10);
	enum err err = store_savepoint(play->store, NULL);

	if (err != ERR_OK)
		return err;
	err = draw_verb(play)(play);
	if (err == ERR_OK && !is_undone) {
		play->books->verbs++;
		return store_release(play->store, NULL);
	}
	store_rollback_to_savepoint(play->store);
	before.now = play->books->now;
	*play->books = before;
	return err == ERR_NOT_FOUND || err == ERR_CONFLICT || err == ERR_INVALID ? ERR_OK : err;
}

enum err verbs_play(struct store *store, struct books *books, uint64_t *dice)
{
	struct play play = { .store = store, .books = books, .dice = dice };
	enum err err = store_begin(store, NULL);

	fixed_chance_seed(next_dice(dice));
	books->now.us += draw(&play, 0, 30 * US_PER_SECOND);
	for (int64_t n = draw(&play, 1, 8); n > 0 && err == ERR_OK; n--)
		err = run_job(&play);
	arena_release(&play.arena);
	return err;
}

enum err verbs_recover(struct store *store, struct books *books, uint64_t *dice)
{
	int64_t recovered;
	enum err err = store_begin(store, NULL);

	fixed_chance_seed(next_dice(dice));
	books->now.us += between(dice, 0, 120 * US_PER_SECOND);
	books->runs_n = 0;
	return err == ERR_OK ? store_recover(store, books->now, &recovered) : err;
}
