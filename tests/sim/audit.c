/* SPDX-License-Identifier: BSD-3-Clause */
/* One entry a schedule: what holds for it since when, and up to which instant its occurrences are on record. What a
 * commit has added is sorted by schedule and instant, and each piece must begin where the one before it has ended. */
#include "audit.h"

#include <assert.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "deliver/id_map.h"
#include "ledger.h"
#include "oracle.h"
#include "store/store.h"

enum { AUDIT_SCHEDULES_MAX = 32768 };

#define GAP_RUN_IN_FULL_US (60 * US_PER_SECOND) /* docs/promise.md, P7 */
#define ALL_AGE_US US_PER_DAY

struct line {
	bool is_known;	 /* the oracle can read it */
	bool is_pending; /* an edit is on its way */
	bool is_vague;	 /* `from` and `until` say nothing: the clock was changed between them, or history is gone */
	bool is_deleted, is_enabled, has_frequency, was_edited;
	enum catch_up catch_up;
	struct oracle oracle;
	struct str interval;	 /* owned text */
	struct wall from, until; /* of the edit that began what holds now */
	struct wall covered;	 /* on record up to here */
};

struct audit {
	sqlite3 *db;
	sqlite3_stmt *runs, *skips, *schedule, *newest;
	int64_t run_id, skip_id; /* the newest seen */
	int64_t kept_run_id;	 /* the newest that must still be there */
	struct wall newest_at;	 /* when something was last put on record */
	struct line *lines;
	unsigned lines_n;
	struct id_map by_uuid;
	struct piece *pieces;
	size_t pieces_n, pieces_room;
	struct audit_sums sums;
};

/* What a commit has put on record: a run, or a skipped range. */
struct piece {
	unsigned line;
	struct wall from, to;
	int64_t count, run_id; /* 0: skipped */
};

struct audit *audit_new(void)
{
	struct audit *audit = memory_new(sizeof *audit);

	id_map_init(&audit->by_uuid, AUDIT_SCHEDULES_MAX);
	return audit;
}

void audit_free(struct audit *audit)
{
	audit_close(audit);
	for (unsigned i = 0; i < audit->lines_n; i++)
		free((char *)(uintptr_t)audit->lines[i].interval.p);
	free(audit->lines);
	free(audit->pieces);
	id_map_release(&audit->by_uuid);
	free(audit);
}

static struct line *line_of(struct audit *audit, const uint8_t uuid[16])
{
	int64_t key;

	memcpy(&key, uuid, sizeof key);
	uint32_t index = id_map_find(&audit->by_uuid, key);

	if (index != ID_MAP_NONE)
		return &audit->lines[index];
	if (audit->lines_n % 64 == 0)
		audit->lines = memory_resize(audit->lines, (audit->lines_n + 64) * sizeof *audit->lines);
	audit->lines[audit->lines_n] = (struct line){ .is_pending = true, .covered = { WALL_US_MIN - 1 } };
	id_map_insert(&audit->by_uuid, key, audit->lines_n);
	return &audit->lines[audit->lines_n++];
}

/* --- the tables --- */

static sqlite3_stmt *prepare(struct audit *audit, const char *sql)
{
	sqlite3_stmt *statement;

	promise(sqlite3_prepare_v2(audit->db, sql, -1, &statement, NULL) == SQLITE_OK, "audit", 0,
		sqlite3_errmsg(audit->db));
	return statement;
}

static bool next_row(struct audit *audit, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	promise(code == SQLITE_ROW || code == SQLITE_DONE, "audit", 0, sqlite3_errmsg(audit->db));
	if (code == SQLITE_DONE)
		sqlite3_reset(statement);
	return code == SQLITE_ROW;
}

/* The newest ids on record. */
static void read_newest(struct audit *audit, int64_t *run_id, int64_t *skip_id)
{
	promise(next_row(audit, audit->newest), "audit", 0, sqlite3_errmsg(audit->db));
	*run_id = sqlite3_column_int64(audit->newest, 0);
	*skip_id = sqlite3_column_int64(audit->newest, 1);
	sqlite3_reset(audit->newest);
}

static void check_all_is_there(struct audit *audit)
{
	int64_t run_id, skip_id;

	read_newest(audit, &run_id, &skip_id);
	promise(run_id >= audit->kept_run_id && skip_id >= audit->skip_id, "P1", 0,
		"what was on record is not any more");
}

/* The installation id of which run ids are made. */
static void read_installation(struct audit *audit, uint8_t installation[16])
{
	sqlite3_stmt *row = prepare(audit, "SELECT value FROM meta WHERE key = 'installation'");

	promise(next_row(audit, row) && sqlite3_column_bytes(row, 0) == 16, "P1", 0, "no installation id");
	memcpy(installation, sqlite3_column_blob(row, 0), 16);
	sqlite3_finalize(row);
}

void audit_open(struct audit *audit, const char *path, uint8_t installation[16])
{
	promise(sqlite3_open_v2(path, &audit->db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK, "audit", 0, path);
	audit->runs = prepare(audit, "SELECT r.id, s.uuid, r.planned_at FROM runs r JOIN schedules s ON s.id = "
				     "r.schedule_id WHERE r.id > ?1 AND r.kind = 0 ORDER BY r.id");
	audit->skips = prepare(audit, "SELECT k.id, s.uuid, k.from_at, k.to_at, k.count FROM skips k JOIN schedules s "
				      "ON s.id = k.schedule_id WHERE k.id > ?1 ORDER BY k.id");
	audit->schedule = prepare(audit, "SELECT s.anchor_at, s.enabled, d.payload FROM schedules s JOIN definitions d "
					 "ON d.id = s.definition_id WHERE s.uuid = ?1");
	audit->newest = prepare(audit, "SELECT coalesce((SELECT max(id) FROM runs), 0), coalesce((SELECT max(id) FROM "
				       "skips), 0)");
	check_all_is_there(audit);
	read_installation(audit, installation);
}

void audit_close(struct audit *audit)
{
	sqlite3_finalize(audit->runs);
	sqlite3_finalize(audit->skips);
	sqlite3_finalize(audit->schedule);
	sqlite3_finalize(audit->newest);
	sqlite3_close(audit->db);
	audit->db = NULL;
	audit->runs = audit->skips = audit->schedule = audit->newest = NULL;
}

/* --- what holds --- */

void audit_asked(struct audit *audit, const uint8_t uuid[16])
{
	line_of(audit, uuid)->is_pending = true;
}

void audit_unchanged(struct audit *audit, const uint8_t uuid[16])
{
	line_of(audit, uuid)->is_pending = false;
}

void audit_purged(struct audit *audit, struct wall now, bool is_clock_steady)
{
	int64_t run_id, skip_id;

	if (!audit->db)
		return;
	read_newest(audit, &run_id, &skip_id);
	promise((run_id >= audit->kept_run_id && skip_id >= audit->skip_id) || !is_clock_steady ||
			now.us - audit->newest_at.us >= STORE_RETENTION_DAYS * US_PER_DAY,
		"P1", run_id, "history was deleted before its time");
	/* Ids of runs are not used twice, those of ranges are. */
	audit->kept_run_id = run_id < audit->kept_run_id ? run_id : audit->kept_run_id;
	audit->skip_id = skip_id < audit->skip_id ? skip_id : audit->skip_id;
}

/* The tables are closed while a process dies of its disk; by then whoever waits for that commit is refused. */
static void check_is_committed(const struct audit *audit)
{
	promise(audit->db, "P1", 0, "a write was answered, and its commit has failed");
}

void audit_deleted(struct audit *audit, const uint8_t uuid[16])
{
	check_is_committed(audit);
	line_of(audit, uuid)->is_deleted = true;
	sqlite3_bind_blob(audit->schedule, 1, uuid, 16, SQLITE_STATIC);
	promise(!next_row(audit, audit->schedule), "P1", 0, "a deleted schedule is still there");
	sqlite3_reset(audit->schedule);
}

/* The row must say what was answered; returns where its interval counts from. */
static struct wall read_schedule(struct audit *audit, const struct schedule *schedule)
{
	const struct schedule_definition *definition = &schedule->definition;
	struct wall anchor;

	check_is_committed(audit);
	sqlite3_bind_blob(audit->schedule, 1, schedule->uuid, 16, SQLITE_STATIC);
	promise(next_row(audit, audit->schedule), "P1", 0, "an answered schedule is not there");
	anchor.us = sqlite3_column_int64(audit->schedule, 0);
	promise(sqlite3_column_int(audit->schedule, 1) == definition->enabled &&
			(size_t)sqlite3_column_bytes(audit->schedule, 2) == definition->payload.n &&
			memcmp(sqlite3_column_text(audit->schedule, 2), definition->payload.p, definition->payload.n) ==
				0,
		"P1", 0, "an answered edit is not there");
	sqlite3_reset(audit->schedule);
	return anchor;
}

static bool is_same_timing(const struct oracle *a, const struct oracle *b)
{
	return a->has_interval == b->has_interval && a->has_cron == b->has_cron && a->has_once == b->has_once &&
	       a->period_us == b->period_us && a->minutes == b->minutes && a->hours == b->hours && a->zone == b->zone &&
	       (!a->has_interval || a->anchor.us == b->anchor.us);
}

void audit_defined(struct audit *audit, const struct schedule *schedule, struct wall from, struct wall until)
{
	const struct schedule_definition *definition = &schedule->definition;
	struct line *line = line_of(audit, schedule->uuid);
	struct wall anchor = read_schedule(audit, schedule);
	bool is_new = line->interval.p == NULL, is_same;
	struct oracle oracle;
	bool is_known = oracle_read(definition, anchor, &oracle), is_vague = wall_is_after(from, until);

	is_same = is_known && line->is_known && is_same_timing(&line->oracle, &oracle) &&
		  line->is_enabled == definition->enabled;
	if (!is_vague && oracle.has_interval && (is_new || !str_equal(line->interval, definition->interval)))
		promise(anchor.us >= from.us && anchor.us <= until.us, "P6", 0,
			"an interval does not count from its edit");
	if (!is_same) {
		line->from = from;
		line->until = until;
		line->is_vague = is_vague;
	}
	audit->sums.unread += is_new && !is_known;
	line->was_edited = !is_new;
	line->is_known = is_known;
	line->is_pending = false;
	line->is_enabled = definition->enabled;
	line->has_frequency = definition->has_frequency;
	line->catch_up = definition->catch_up;
	line->oracle = oracle;
	free((char *)(uintptr_t)line->interval.p);
	char *text = memory_new(definition->interval.n + 1);

	memcpy(text, definition->interval.n ? definition->interval.p : "", definition->interval.n);
	line->interval = (struct str){ text, definition->interval.n };
}

/* --- what was added --- */

static struct piece *add_piece(struct audit *audit, sqlite3_stmt *row)
{
	if (audit->pieces_n == audit->pieces_room) {
		audit->pieces_room = audit->pieces_room ? 2 * audit->pieces_room : 256;
		audit->pieces = memory_resize(audit->pieces, audit->pieces_room * sizeof *audit->pieces);
	}
	struct piece *piece = &audit->pieces[audit->pieces_n++];

	*piece = (struct piece){ .line = (unsigned)(line_of(audit, sqlite3_column_blob(row, 1)) - audit->lines),
				 .from = { sqlite3_column_int64(row, 2) } };
	return piece;
}

static void read_pieces(struct audit *audit)
{
	audit->pieces_n = 0;
	sqlite3_bind_int64(audit->runs, 1, audit->run_id);
	while (next_row(audit, audit->runs)) {
		struct piece *piece = add_piece(audit, audit->runs);

		piece->to = piece->from;
		piece->count = 1;
		piece->run_id = audit->run_id = audit->kept_run_id = sqlite3_column_int64(audit->runs, 0);
		audit->sums.runs++;
	}
	sqlite3_bind_int64(audit->skips, 1, audit->skip_id);
	while (next_row(audit, audit->skips)) {
		struct piece *piece = add_piece(audit, audit->skips);

		audit->skip_id = sqlite3_column_int64(audit->skips, 0);
		piece->to.us = sqlite3_column_int64(audit->skips, 3);
		piece->count = sqlite3_column_int64(audit->skips, 4);
		audit->sums.skips++;
		audit->sums.skipped += (uint64_t)piece->count;
	}
}

static int compare(const void *a_, const void *b_)
{
	const struct piece *a = a_, *b = b_;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return (a->from.us > b->from.us) - (a->from.us < b->from.us);
}

/* What is broken, with the instants that it is about. */
static void hold(bool holds, const char *name, const struct line *line, const struct piece *piece, const char *text)
{
	char words[400];

	if (holds)
		return;
	snprintf(words, sizeof words,
		 "%s (schedule %u, %s'%s'%s, catch-up %d; on record up to %" PRId64 ", edited at %" PRId64
		 ", and now %s from %" PRId64 " to %" PRId64 ", %" PRId64 " in all)",
		 text, piece->line, line->oracle.has_once ? "once " : "", line->interval.p,
		 line->oracle.has_cron ? " and cron" : "", (int)line->catch_up, line->covered.us, line->from.us,
		 piece->run_id ? "a run" : "skipped", piece->from.us, piece->to.us, piece->count);
	promise(false, name, piece->run_id, words);
}

/* The piece begins with the first occurrence behind what is on record, or behind the edit that began all this. */
static void check_place(const struct line *line, const struct piece *piece)
{
	struct wall first, last;

	hold(piece->from.us > line->covered.us, "I13", line, piece, "planned instants must increase");
	if (!line->is_known || line->is_pending || !oracle_covers(&line->oracle, piece->from) ||
	    !oracle_covers(&line->oracle, piece->to) || !oracle_covers(&line->oracle, line->until))
		return;
	if (line->oracle.has_once) {
		/* One that an edit has taken back unsent is armed anew, later. */
		hold(line->was_edited || piece->from.us == line->oracle.once_at.us, "I1", line, piece,
		     "not the instant of its schedule");
		return;
	}
	hold(oracle_is(&line->oracle, piece->from) && oracle_is(&line->oracle, piece->to), "I1", line, piece,
	     line->oracle.has_cron ? "P9: no occurrence of its schedule" : "no occurrence of its schedule");
	hold(oracle_count(&line->oracle, piece->from, piece->to) == piece->count, "I1", line, piece,
	     "a skipped range counts wrongly");
	/* A run that an edit has taken back gives its place of the frequency to a later occurrence. */
	if (line->has_frequency || line->is_vague)
		return;
	hold(oracle_next(&line->oracle, wall_max(line->covered, line->from), &first) &&
		     oracle_next(&line->oracle, wall_max(line->covered, line->until), &last) &&
		     piece->from.us >= first.us && piece->from.us <= last.us,
	     "I1", line, piece, "an occurrence is on no record");
}

static void check_catch_up(const struct line *line, const struct piece *piece, const struct audit_claim *claim)
{
	struct wall next;

	if (!line->is_known || line->is_pending || line->oracle.has_once || !piece->run_id ||
	    !oracle_covers(&line->oracle, piece->from) ||
	    piece->from.us >= claim->missed_before.us - GAP_RUN_IN_FULL_US)
		return;
	hold(line->catch_up != CATCH_UP_NONE, "P7", line, piece, "it was missed and nobody wanted it");
	hold(line->catch_up != CATCH_UP_ALL || piece->from.us >= claim->missed_before.us - ALL_AGE_US, "P7", line,
	     piece, "it was missed too long ago");
	hold(line->catch_up != CATCH_UP_LATEST || !oracle_next(&line->oracle, piece->from, &next) ||
		     next.us >= claim->missed_before.us || next.us > claim->now.us,
	     "P7", line, piece, "not the most recent missed occurrence");
}

void audit_look(struct audit *audit, const struct audit_claim *claim)
{
	if (!audit->db)
		return;
	read_pieces(audit);
	audit->sums.looks++;
	for (unsigned i = 0; claim->is_purged && i < audit->lines_n; i++)
		audit->lines[i].is_vague = true;
	if (audit->pieces_n)
		audit->newest_at = claim->now;
	qsort(audit->pieces, audit->pieces_n, sizeof *audit->pieces, compare);
	for (size_t i = 0; i < audit->pieces_n; i++) {
		const struct piece *piece = &audit->pieces[i];
		struct line *line = &audit->lines[piece->line];

		check_place(line, piece);
		check_catch_up(line, piece, claim);
		hold(piece->to.us <= claim->until.us, "I13", line, piece, "planned ahead of what was asked for");
		line->covered = piece->to;
		/* What follows, follows this one. */
		if (line->is_vague && !line->is_pending) {
			line->from = line->until = piece->to;
			line->is_vague = false;
		}
	}
}

struct wall audit_covered(struct audit *audit, const uint8_t uuid[16])
{
	return line_of(audit, uuid)->covered;
}

void audit_settled(struct audit *audit, struct wall now, int64_t grace_us)
{
	for (unsigned i = 0; i < audit->lines_n; i++) {
		const struct line *line = &audit->lines[i];
		struct wall next;

		if (!line->is_known || line->is_pending || line->is_vague || line->is_deleted || !line->is_enabled ||
		    line->has_frequency || (line->oracle.has_once && line->was_edited) ||
		    !oracle_covers(&line->oracle, now))
			continue;
		audit->sums.settled++;
		if (oracle_next(&line->oracle,
				wall_max(line->covered, line->oracle.has_once ? line->covered : line->until), &next))
			hold(next.us > now.us - grace_us, "I1", line,
			     &(struct piece){ .line = i, .from = next, .to = now },
			     "an occurrence that is due is on no record");
	}
}

struct audit_sums audit_sum(const struct audit *audit)
{
	return audit->sums;
}
