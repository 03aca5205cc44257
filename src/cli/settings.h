/* SPDX-License-Identifier: BSD-3-Clause */
/* What `serve` was told, checked: flags before environment before defaults, every value in range or a clear refusal. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "base/log.h"
#include "core/address.h"
#include "store/store.h"

struct settings {
	struct store_settings store;
	struct str listen, metrics_listen; /* the latter absent: /metrics stays with the API */
	struct egress_policy egress;	   /* without the own addresses: they are known after listening */
	int64_t attempt_us_max;
	int64_t auth_failures_per_minute;  /* 0 = no limit */
	const char *ca_file, *dns_servers; /* NULL: none */
	enum log_level log_level;
	bool wants_help;    /* nothing else is set then */
	struct arena arena; /* owns what was put together */
};

enum err settings_read(struct settings *settings, int argc, char **argv, struct error *error) MUST_CHECK;
void settings_print_help(void);
void settings_release(struct settings *settings);

#endif
