/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes wrong with the machine: it dies, its clock steps, its disk fills up. */
#include "inside.h"

#include <inttypes.h>

/* Short ones mostly; now and then one of those that catch-up treats apart (T24). */
static int64_t draw_down_us(struct world *world)
{
	static const int64_t named_s[] = { 0, 59, 61, 3600, 30 * 86400 };
	uint64_t *dice = &world->dice;
	int64_t longest = world->options->down_us_max;
	int64_t down_us;

	if (chance(dice, 50))
		down_us = between(dice, US_PER_MS, 10 * US_PER_SECOND);
	else if (chance(dice, 60))
		down_us = named_s[between(dice, 0, 4)] * US_PER_SECOND;
	else
		down_us = between(dice, US_PER_SECOND, longest);
	return down_us > longest ? longest : down_us;
}

void faults_crash(struct world *world)
{
	if (!world->is_up)
		return;
	/* In the middle of a commit, which is where it hurts; or whenever. */
	if (world->options->disk.busy_us && world->next_turn == TURN_PLAIN && chance(&world->dice, 60))
		world->next_turn = (enum turn)between(&world->dice, TURN_LOSES_POWER, TURNS_N - 1);
	else
		service_crash(world, draw_down_us(world));
}

/* Midnight's last second comes twice. */
static int64_t repeat_last_second(const struct world *world)
{
	int64_t day_us = now_of(world).wall.us % US_PER_DAY;

	return day_us >= 0 && day_us < US_PER_SECOND ? -US_PER_SECOND : 0;
}

void faults_step_clock(struct world *world)
{
	static const int64_t sizes_s[] = { 1, 10, 59, 61, 3600, 86400, 30 * 86400, 365 * 86400 };
	uint64_t *dice = &world->dice;
	int64_t size = sizes_s[between(dice, 0, 7)] * US_PER_SECOND;

	world->sums.clock_steps++;
	if (size > world->options->clock_us_max)
		size = world->options->clock_us_max;
	if (chance(dice, 50))
		size = between(dice, 1, size);
	switch (between(dice, 0, 5)) {
	case 0:
		step_clock_by(world, size);
		break;
	case 1:
		step_clock_by(world, -size);
		break;
	case 2:
		/* A suspend: nothing happens for a while, then everything at once. */
		world->boot_us += size < 6 * 3600 * US_PER_SECOND ? size : 6 * 3600 * US_PER_SECOND;
		step_clock_by(world, 0);
		break;
	case 3:
		world->slew_ppm = between(dice, -500, 500);
		break;
	case 4:
		/* There and back: somebody mistyped the year. */
		step_clock_by(world, size);
		step_clock_by(world, -size);
		break;
	default:
		step_clock_by(world, repeat_last_second(world));
	}
	tell(world, "the clock is changed, by up to %" PRId64 " s", size / US_PER_SECOND);
}

/* Bytes that the database and its log take up. */
static int64_t used_bytes(const struct world *world)
{
	static const char *const suffixes[] = { "", "-wal" };
	int64_t used = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct arena arena = { 0 };
		size_t n = 0;
		struct str path = arena_printf(&arena, "%s/sim.db%s", world->rig->directory, suffixes[i]);

		if (crash_disk_bytes(world->disk, path.p, &n))
			used += (int64_t)n;
		arena_release(&arena);
	}
	return used;
}

/* Full, but for a little. */
void faults_disk(struct world *world)
{
	if (!world->is_up || world->room_bytes)
		return;
	world->sums.disk_full++;
	world->room_bytes = used_bytes(world) + between(&world->dice, 0, 40000);
	tell(world, "the disk is full");
	service_set_disk(world, (struct crash_disk_faults){ 0 });
	plan(world, DISK_WELL, between(&world->dice, US_PER_SECOND, 120 * US_PER_SECOND));
}
