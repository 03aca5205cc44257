/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts how often the product asks for the occurrence after another: the cost of a gap, in steps (P7). */
#ifndef SIM_STEPS_H
#define SIM_STEPS_H

#include <stdint.h>

/* Since the program began. The program is linked with --wrap=interval_next and --wrap=cron_next. */
uint64_t steps_taken(void);

#endif
