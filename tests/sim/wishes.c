/* SPDX-License-Identifier: BSD-3-Clause */
/* Draws what a request asks for: members of a schedule, as the JSON that a client would write. */
#include "wishes.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/timestamp.h"
#include "oracle.h"

/* Entries end with the year 2099, leap days in 2096. */
#define CRON_END_US (INT64_C(3976214400) * US_PER_SECOND)

bool wish_has_cron(const struct world *world)
{
	return now_of(world).wall.us < CRON_END_US;
}

void wish_member(struct buf *members, const char *key, struct str value)
{
	buf_add_char(members, members->n ? ',' : '{');
	buf_printf(members, "\"%s\":", key);
	buf_add(members, value);
}

void wish_number(struct buf *members, const char *key, int64_t number)
{
	char digits[24];

	snprintf(digits, sizeof digits, "%" PRId64, number);
	wish_member(members, key, str_from(digits));
}

void wish_payload(struct buf *members, int64_t number)
{
	char text[80];

	/* Told apart by the number; what is around it must come back as it went. */
	snprintf(text, sizeof text, "{\"v\":%" PRId64 ",\"n\":0.10,\"t\":\"\\\"}, {\\n\"}", number);
	wish_member(members, "payload", str_from(text));
}

struct str wish_auth_token(struct arena *arena, int64_t number)
{
	return arena_printf(arena, "token-%" PRId64, number);
}

/* Digits are base64, too: 32 of them are 24 bytes. */
struct str wish_signing_secret(struct arena *arena, int64_t number)
{
	return arena_printf(arena, "whsec_%032" PRId64, number);
}

void wish_secrets(struct buf *members, int64_t number)
{
	struct arena arena = { 0 };

	wish_member(members, "auth_token", arena_printf(&arena, "\"%.*s\"", STR_ARG(wish_auth_token(&arena, number))));
	wish_member(members, "signing_secret",
		    arena_printf(&arena, "\"%.*s\"", STR_ARG(wish_signing_secret(&arena, number))));
	arena_release(&arena);
}

void wish_endpoint(struct world *world, struct buf *members)
{
	char text[40];

	snprintf(text, sizeof text, "\"http://h%" PRId64 ".example/x\"",
		 between(&world->dice, 0, world->options->hosts_n - 1));
	wish_member(members, "endpoint", str_from(text));
}

/* Every size is as likely, not every number. */
static int64_t draw_interval_s(struct world *world)
{
	int64_t low = world->options->interval_s_min, high = world->options->interval_s_max;
	unsigned doublings = 0;

	while (low << (doublings + 1) <= high)
		doublings++;
	low <<= between(&world->dice, 0, doublings);
	return between(&world->dice, low, 2 * low < high ? 2 * low : high);
}

int64_t wish_interval(struct world *world, struct buf *members)
{
	int64_t seconds = draw_interval_s(world);
	char text[40];

	snprintf(text, sizeof text, "\"%" PRId64 " seconds\"", seconds);
	wish_member(members, "interval_definition", str_from(text));
	return seconds;
}

void wish_cron(struct world *world, struct buf *members)
{
	char text[40];
	uint64_t *dice = &world->dice;
	/* Clocks change at night. */
	int64_t minute = between(dice, 0, 59),
		hour = world->options->has_zones ? between(dice, 0, 4) : between(dice, 0, 23);

	if (!wish_has_cron(world)) {
		wish_member(members, "interval_definition", STR("\"12 hours\""));
		return;
	}
	switch (world->options->busy_us_mean ? between(dice, 0, 11) : 0) {
	case 0:
		snprintf(text, sizeof text, "\"* %s * * *\"", world->options->busy_us_mean ? "3" : "*");
		break;
	case 1:
		snprintf(text, sizeof text, "\"*/%" PRId64 " * * * *\"", between(dice, 10, 30));
		break;
	case 2:
	case 3:
		snprintf(text, sizeof text, "\"%" PRId64 " * * * *\"", minute);
		break;
	case 4:
		snprintf(text, sizeof text, "\"59 23 * * *\"");
		break;
	case 5:
		snprintf(text, sizeof text, "\"0 0 29 2 *\"");
		break;
	case 6:
		snprintf(text, sizeof text, "\"14 3 19 1 *\"");
		break;
	default:
		snprintf(text, sizeof text, "\"%" PRId64 " %" PRId64 " * * *\"", minute, hour);
	}
	wish_member(members, "cron_definition", str_from(text));
}

void wish_instant(struct buf *members, struct wall at)
{
	struct buf text;

	buf_init(&text, 100);
	buf_add_char(&text, '"');
	timestamp_add(&text, at);
	buf_add_char(&text, '"');
	wish_member(members, "next_send_at", buf_str(&text));
	buf_release(&text);
}

static void wish_once(struct world *world, struct buf *members)
{
	int64_t ahead_us = world->options->busy_us_mean && chance(&world->dice, 70)
				   ? between(&world->dice, 0, 6 * 3600) * US_PER_SECOND
				   : between(&world->dice, -60, 120) * US_PER_SECOND;

	wish_instant(members, wall_add_us(now_of(world).wall, ahead_us + between(&world->dice, 0, 999999)));
}

void wish_trigger(struct world *world, struct buf *members)
{
	uint64_t *dice = &world->dice;
	bool is_day = world->options->busy_us_mean > 0;
	int64_t roll = between(dice, 0, 99), seconds = 0;

	if (roll < (is_day ? 20 : 10))
		wish_once(world, members);
	else if (roll < (is_day ? 60 : 20))
		wish_cron(world, members);
	else
		seconds = wish_interval(world, members);
	/* What comes every few seconds for a whole day says nothing new. */
	if (is_day && seconds && seconds < 1200)
		wish_number(members, "frequency", between(dice, 1, seconds < 60 ? 60 : 20));
	else if (chance(dice, 10))
		wish_number(members, "frequency", between(dice, 1, 20));
}

void wish_policies(struct world *world, struct buf *members)
{
	uint64_t *dice = &world->dice;

	wish_member(members, "catch_up",
		    chance(dice, world->options->all_percent) ? STR("\"all\"")
		    : chance(dice, 40)			      ? STR("\"none\"")
							      : STR("\"latest\""));
	wish_member(members, "overlap",
		    chance(dice, 50)   ? STR("\"allow\"")
		    : chance(dice, 50) ? STR("\"skip\"")
				       : STR("\"queue\""));
	if (world->options->has_zones && chance(dice, 50)) {
		struct arena arena = { 0 };
		const char *zone = oracle_zone_name((unsigned)between(dice, 0, ORACLE_ZONES_N - 1));

		wish_member(members, "timezone", arena_printf(&arena, "\"%s\"", zone));
		arena_release(&arena);
	}
}
