-- SPDX-License-Identifier: BSD-3-Clause
-- The first schema. Instants are microseconds since 1970 in UTC; absent is NULL. docs/design/storage.md says why it looks like this.

-- What is true of the whole database: schema_version, installation (16 random bytes), key_check.
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

-- Sums that must not cost a scan, moved by the transactions that change what they count.
CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counters (name, n) VALUES
	('schedules', 0), ('schedules_enabled', 0), ('failures', 0), ('retries', 0), ('metric_runs', 0), ('run_ids', 0),
	('deleted_planned', 0), ('purged_delivered', 0), ('purged_failed', 0), ('purged_cancelled', 0), ('purged_skipped', 0);

CREATE TABLE users (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	username TEXT NOT NULL UNIQUE,
	email TEXT NOT NULL,
	password_hash TEXT,
	is_staff INTEGER NOT NULL,
	is_active INTEGER NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE groups (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE group_members (
	user_id INTEGER NOT NULL,
	group_id INTEGER NOT NULL,
	PRIMARY KEY (user_id, group_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	digest BLOB NOT NULL UNIQUE,
	prefix TEXT NOT NULL,
	user_id INTEGER NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tokens_by_user ON tokens (user_id);

-- What a run sends. A row never changes; an edit makes a new one. Secrets are sealed. `superseded_after`: no run with a larger id
-- uses this row (NULL: it is a schedule's present one), so it may go when all runs up to that id are gone.
CREATE TABLE definitions (
	id INTEGER PRIMARY KEY,
	lane INTEGER NOT NULL,
	endpoint TEXT NOT NULL,
	payload TEXT NOT NULL,
	auth_token BLOB,
	signing_secret BLOB,
	superseded_after INTEGER
) STRICT;
CREATE INDEX definitions_superseded ON definitions (superseded_after) WHERE superseded_after IS NOT NULL;

-- Written by the API alone, never by a run. A user that is gone reads as NULL: ids of users are not used twice.
CREATE TABLE schedules (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	uuid BLOB NOT NULL UNIQUE,
	definition_id INTEGER NOT NULL,
	frequency INTEGER,
	cron TEXT,
	interval TEXT,
	anchor_at INTEGER NOT NULL,
	once_at INTEGER,
	enabled INTEGER NOT NULL,
	timezone TEXT NOT NULL,
	catch_up INTEGER NOT NULL,
	overlap INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	created_by INTEGER,
	updated_by INTEGER
) STRICT;

-- The due queue: one narrow row a schedule. `last_at`: the last planned instant; `before_at`: the one before it, so that a CHECK can refuse an
-- advance that does not go forward (P2; a trigger would cost as much again as the whole UPDATE). `held_at`: the true next instant of a schedule that
-- was put off because its timing could not be computed. `planned`: occurrences planned in all, skipped ones included (P3). `no_ahead`: planned at
-- its instant and not ahead of it, since only then is known whether an earlier run is still open (P10).
CREATE TABLE timers (
	schedule_id INTEGER PRIMARY KEY,
	next_at INTEGER,
	last_at INTEGER NOT NULL,
	before_at INTEGER NOT NULL,
	triggered INTEGER NOT NULL,
	planned INTEGER NOT NULL,
	held_at INTEGER,
	no_ahead INTEGER NOT NULL,
	CHECK (last_at > before_at),
	CHECK (next_at > last_at)
) STRICT;
CREATE INDEX timers_due ON timers (no_ahead, next_at) WHERE next_at IS NOT NULL;

-- Time zones that cron entries use, with the SHA-256 of their files as last read: a changed file moves future runs (P9).
CREATE TABLE zones (name TEXT PRIMARY KEY, digest BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- One row an occurrence, appended in the order of planning. Of the indexes only runs_open is touched on the way from plan to delivery.
-- Open and leased: lease, and `recall` once an edit has asked for it back. Open and waiting: eligible_at (and parked_lane, when the delivery side put it aside).
-- Open and waiting for an earlier run of its schedule to end: `queued`, with none of these (P10).
CREATE TABLE runs (
	id INTEGER PRIMARY KEY,
	uuid BLOB NOT NULL,
	schedule_id INTEGER NOT NULL,
	definition_id INTEGER NOT NULL,
	kind INTEGER NOT NULL,
	state INTEGER NOT NULL,
	planned_at INTEGER NOT NULL,
	changed_at INTEGER NOT NULL,
	lease INTEGER,
	eligible_at INTEGER,
	queued INTEGER NOT NULL,
	not_before INTEGER,
	parked_lane INTEGER,
	attempts INTEGER NOT NULL,
	attempts_budget INTEGER NOT NULL,
	was_failed INTEGER NOT NULL,
	recall INTEGER,
	started_at INTEGER,
	duration_us INTEGER,
	status INTEGER
) STRICT;
CREATE INDEX runs_open ON runs (schedule_id, queued) WHERE state = 0;
CREATE INDEX runs_eligible ON runs (eligible_at) WHERE eligible_at IS NOT NULL;
CREATE INDEX runs_parked ON runs (parked_lane) WHERE parked_lane IS NOT NULL;

-- Failed attempts alone, the last few of each run.
CREATE TABLE attempts (
	run_id INTEGER NOT NULL,
	n INTEGER NOT NULL,
	started_at INTEGER NOT NULL,
	duration_us INTEGER NOT NULL,
	class INTEGER NOT NULL,
	status INTEGER NOT NULL,
	detail TEXT NOT NULL,
	answer BLOB NOT NULL,
	PRIMARY KEY (run_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE failures (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	run_id INTEGER NOT NULL UNIQUE,
	schedule_id INTEGER NOT NULL,
	initiated_at INTEGER NOT NULL,
	reason TEXT NOT NULL
) STRICT;
CREATE INDEX failures_by_schedule ON failures (schedule_id);

-- Ranges of occurrences that were planned and on purpose not run: 0 missed (P7), 1 an earlier run was open (P10).
CREATE TABLE skips (
	id INTEGER PRIMARY KEY,
	schedule_id INTEGER NOT NULL,
	from_at INTEGER NOT NULL,
	to_at INTEGER NOT NULL,
	count INTEGER NOT NULL,
	reason INTEGER NOT NULL,
	recorded_at INTEGER NOT NULL
) STRICT;

CREATE TABLE webhooks (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	event TEXT NOT NULL,
	target TEXT NOT NULL,
	user_id INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) STRICT;
