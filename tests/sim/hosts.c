/* SPDX-License-Identifier: BSD-3-Clause */
/* Plays the endpoints and outbound.c: what came of an attempt, and when. Requests and answers are bytes (receiver.h).
 */
#include <stdio.h>

#include "inside.h"

#include "core/url.h"
#include "deliver/request_text.h"

enum { REQUEST_BYTES_MAX = 1 << 20 };

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

/* Honest wishes and absurd ones. */
static struct answer_plan be_late(struct world *world)
{
	static const char *const wishes[] = {
		"3",
		"0",
		"30",
		"86400",
		"99999999999999999999",
		"-5",
		"soon",
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Fri, 31 Dec 9999 23:59:59 GMT",
	};

	return (struct answer_plan){ .status = chance(&world->dice, 50) ? 429 : 503,
				     .retry_after =
					     wishes[between(&world->dice, 0, sizeof wishes / sizeof wishes[0] - 1)] };
}

/* False: no answer, for the reason that is left in `class`. */
static bool lie(struct world *world, struct answer_plan *plan, enum outcome_class *class)
{
	static const enum outcome_class reasons[] = { OUTCOME_CONNECT, OUTCOME_RESET, OUTCOME_PROTOCOL, OUTCOME_DNS };
	static const unsigned statuses[] = { 301, 304, 400, 401, 404, 418, 500, 599 };
	int64_t which = between(&world->dice, 0, 5);

	if (which < 4) {
		*class = reasons[which];
		return false;
	}
	if (which == 4)
		*plan = (struct answer_plan){ .status = 200, .end = ANSWER_CUT_OFF };
	else
		plan->status = statuses[between(&world->dice, 0, 7)];
	return true;
}

static bool draw_answer(struct world *world, unsigned index, struct answer_plan *plan, struct outcome *outcome)
{
	static const unsigned taken[] = { 200, 200, 201, 202, 204 };
	const struct host *host = &world->options->hosts[index];

	outcome->duration_us = between(&world->dice, host->latency_us_min, host->latency_us_max);
	*plan = (struct answer_plan){ .status = taken[between(&world->dice, 0, 4)] };
	if (world->is_healed)
		return true;
	if (world->is_ill[index] || chance(&world->dice, host->timeout_percent)) {
		outcome->class = OUTCOME_TIMEOUT;
		outcome->duration_us = TIMEOUT_US;
		return false;
	}
	if (chance(&world->dice, host->fail_percent))
		plan->status = 503;
	else if (chance(&world->dice, host->gone_percent))
		plan->status = 410;
	else if (chance(&world->dice, host->later_percent))
		*plan = be_late(world);
	else if (chance(&world->dice, host->lie_percent))
		return lie(world, plan, &outcome->class);
	return true;
}

static void read_request(struct world *world, const struct run *run, uint32_t attempt)
{
	struct buf text;
	struct url url;

	buf_init(&text, REQUEST_BYTES_MAX);
	promise(url_parse(run->endpoint, &url), "url", run->id, "an endpoint that is none");
	request_text_add(&text, run, &url, attempt, now_of(world).wall);
	ledger_sent(world->ledger, run->id, buf_str(&text), now_of(world).wall);
	buf_release(&text);
}

void hosts_find_no_socket(struct attempt_end *end, struct wall now)
{
	end->outcome = (struct outcome){ .class = OUTCOME_INTERNAL, .is_unsent = true, .started_at = now };
}

void hosts_receive(struct world *world, const struct run *run, uint32_t attempt, struct attempt_end *end)
{
	struct outcome *outcome = &end->outcome;
	unsigned index = 0;

	read_request(world, run, attempt);
	while (index + 1 < world->options->hosts_n && world->lanes[index] != run->lane)
		index++;
	outcome->started_at = now_of(world).wall;
	end->has_answer = draw_answer(world, index, &end->answer, outcome);
	if (end->has_answer)
		receiver_answer(&end->answer, &world->dice, wall_add_us(outcome->started_at, outcome->duration_us),
				outcome);
}
