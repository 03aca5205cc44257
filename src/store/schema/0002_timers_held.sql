-- SPDX-License-Identifier: BSD-3-Clause
-- Schedules that are put off are few: a start, and a clock set back, find them without a look at every timer.
CREATE INDEX timers_held ON timers (schedule_id) WHERE held_at IS NOT NULL;
