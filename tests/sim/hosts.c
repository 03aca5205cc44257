/* SPDX-License-Identifier: BSD-3-Clause */
/* Plays the endpoints and outbound.c: what came of an attempt, and when. */
#include <stdio.h>

#include "inside.h"

#include "core/url.h"

#define TIMEOUT_US (30 * US_PER_SECOND)

void hosts_name(struct world *world)
{
	for (unsigned i = 0; i < world->options->hosts_n; i++) {
		char text[40];
		struct url url;

		snprintf(text, sizeof text, "http://h%u.example/x", i);
		promise(url_parse(str_from(text), &url), "url", i, text);
		world->lanes[i] = url_lane(&url);
	}
}

void hosts_turn(struct world *world, unsigned host)
{
	world->is_ill[host] = !world->is_ill[host];
	world->sums.host_turns++;
	tell(world, "host %u is %s", host, world->is_ill[host] ? "ill" : "well");
}

static void be_late(struct world *world, struct outcome *outcome)
{
	static const char *const wishes[] = {
		"3", "0", "30", "86400", "99999999999999999999", "-5", "soon", "Sun, 06 Nov 1994 08:49:37 GMT",
		"Fri, 31 Dec 9999 23:59:59 GMT",
	};
	unsigned status = chance(&world->dice, 50) ? 429 : 503;

	outcome_classify_answer(outcome, status,
				str_from(wishes[between(&world->dice, 0, sizeof wishes / sizeof wishes[0] - 1)]),
				now_of(world).wall);
}

static void lie(struct world *world, struct outcome *outcome)
{
	static const unsigned statuses[] = { 301, 304, 400, 401, 404, 418, 500, 599 };

	switch (between(&world->dice, 0, 4)) {
	case 0:
		outcome->class = OUTCOME_CONNECT;
		break;
	case 1:
		outcome->class = OUTCOME_RESET;
		break;
	case 2:
		outcome->class = OUTCOME_PROTOCOL;
		break;
	case 3:
		outcome->class = OUTCOME_DNS;
		break;
	default:
		outcome_classify_answer(outcome, statuses[between(&world->dice, 0, 7)], (struct str){ 0 },
					now_of(world).wall);
		return;
	}
	outcome->status = 0;
}

struct outcome hosts_answer(struct world *world, const struct run *run)
{
	unsigned index = 0;
	struct outcome outcome = { .class = OUTCOME_DELIVERED, .status = 200, .started_at = now_of(world).wall };

	while (index + 1 < world->options->hosts_n && world->lanes[index] != run->lane)
		index++;

	const struct host *host = &world->options->hosts[index];

	outcome.duration_us = between(&world->dice, host->latency_us_min, host->latency_us_max);
	if (world->is_healed)
		return outcome;
	if (world->is_ill[index] || chance(&world->dice, host->timeout_percent)) {
		outcome.class = OUTCOME_TIMEOUT;
		outcome.status = 0;
		outcome.duration_us = TIMEOUT_US;
	} else if (chance(&world->dice, host->fail_percent)) {
		outcome_classify_answer(&outcome, 503, (struct str){ 0 }, now_of(world).wall);
	} else if (chance(&world->dice, host->gone_percent)) {
		outcome_classify_answer(&outcome, 410, (struct str){ 0 }, now_of(world).wall);
	} else if (chance(&world->dice, host->later_percent)) {
		be_late(world, &outcome);
	} else if (chance(&world->dice, host->lie_percent)) {
		lie(world, &outcome);
	}
	return outcome;
}
