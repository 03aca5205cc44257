/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of `serve` in one table, and their meaning. */
#include "cli/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/options.h"
#include "core/interval.h"
#include "core/url.h"
#include "http/server.h"

enum { RETENTION_DAYS_MAX = 36500 };

/* A number of days as the option's text. */
#define DAYS(n) DAYS_TEXT(n)
#define DAYS_TEXT(n) #n " days"

enum option_index {
	OPTION_LISTEN,
	OPTION_DATABASE,
	OPTION_KEY_FILE,
	OPTION_EGRESS_ALLOW,
	OPTION_METRICS_LISTEN,
	OPTION_AUTH_FAILURES,
	OPTION_INTERVAL_MIN,
	OPTION_RETENTION,
	OPTION_RETENTION_FAILED,
	OPTION_CA_FILE,
	OPTION_DNS_SERVERS,
	OPTION_LOG_LEVEL,
	OPTION_HOOK_TOKEN,
	OPTION_METRICS_URL,
	OPTION_METRICS_USER,
	OPTION_METRICS_PASSWORD,
	OPTION_TIMEOUT,
	OPTION_HELP,
	OPTIONS_N,
};

static const struct option options[OPTIONS_N] = {
	[OPTION_LISTEN] = { "--listen", "SCHEDULER_LISTEN", "ADDR:PORT", "127.0.0.1:8000", "where the API listens",
			    false, false },
	[OPTION_DATABASE] = { "--database", "SCHEDULER_DATABASE", "URL", "sqlite:var/scheduler.db", "sqlite:PATH",
			      false, false },
	[OPTION_KEY_FILE] = { "--key-file", "SCHEDULER_KEY_FILE", "FILE", NULL,
			      "key that seals secrets; default: beside the database", false, false },
	[OPTION_EGRESS_ALLOW] = { "--egress-allow", "SCHEDULER_EGRESS_ALLOW", "CIDR", NULL,
				  "let callbacks reach this network; repeatable", true, false },
	[OPTION_METRICS_LISTEN] = { "--metrics-listen", "SCHEDULER_METRICS_LISTEN", "ADDR:PORT", NULL,
				    "a listener of its own for /metrics", false, false },
	[OPTION_AUTH_FAILURES] = { "--auth-failures-per-minute", "SCHEDULER_AUTH_FAILURES_PER_MINUTE", "N", "10",
				   "wrong credentials per address before 429; 0 = no limit", false, false },
	[OPTION_INTERVAL_MIN] = { "--interval-min", "SCHEDULER_INTERVAL_MIN", "SECONDS", "1",
				  "the smallest interval taken", false, false },
	[OPTION_RETENTION] = { "--retention", "SCHEDULER_RETENTION", "INTERVAL", DAYS(STORE_RETENTION_DAYS),
			       "how long delivered, cancelled and skipped runs are kept", false, false },
	[OPTION_RETENTION_FAILED] = { "--retention-failed", "SCHEDULER_RETENTION_FAILED", "INTERVAL",
				      DAYS(STORE_RETENTION_FAILED_DAYS), "how long failed runs and tasks are kept",
				      false, false },
	[OPTION_CA_FILE] = { "--ca-file", "SCHEDULER_CA_FILE", "FILE", NULL,
			     "roots for https endpoints beside the system's", false, false },
	[OPTION_DNS_SERVERS] = { "--dns-servers", "SCHEDULER_DNS_SERVERS", "LIST", NULL,
				 "ADDRESS:PORT,... instead of resolv.conf's", false, false },
	[OPTION_LOG_LEVEL] = { "--log-level", "SCHEDULER_LOG_LEVEL", "LEVEL", "info", "debug, info, warn or error",
			       false, false },
	[OPTION_HOOK_TOKEN] = { NULL, "HOOK_AUTH_TOKEN", "TOKEN", NULL, "token sent with webhooks", false, true },
	[OPTION_METRICS_URL] = { NULL, "METRICS_URL", "URL", NULL, "where metric keys are pushed", false, false },
	[OPTION_METRICS_USER] = { NULL, "METRICS_AUTH_USER", "NAME", NULL, "Basic credentials for it", false, false },
	[OPTION_METRICS_PASSWORD] = { NULL, "METRICS_AUTH_PASSWORD", "PASSWORD", NULL, "Basic credentials for it",
				      false, true },
	[OPTION_TIMEOUT] = { NULL, "DEFAULT_REQUEST_TIMEOUT", "SECONDS", "30", "one whole attempt", false, false },
	[OPTION_HELP] = { "--help", NULL, NULL, NULL, "this list", false, false },
};

extern char **environ;

/* SCHEDULER_… variables that are not ours to refuse: the original's page title, and what Kubernetes sets for a service
 * of the name "scheduler". */
static bool is_tolerated(struct str name)
{
	return str_equal(name, STR("SCHEDULER_TITLE")) || str_starts_with(name, STR("SCHEDULER_PORT")) ||
	       str_starts_with(name, STR("SCHEDULER_SERVICE_"));
}

/* A misspelt variable must not be a silent default. */
static enum err check_environment(struct error *error)
{
	for (char **at = environ; *at; at++) {
		struct str value, name = str_split(str_from(*at), '=', &value);
		bool is_known = !str_starts_with(name, STR("SCHEDULER_")) || is_tolerated(name);

		for (unsigned i = 0; i < OPTIONS_N && !is_known; i++)
			is_known = options[i].environment && str_equal(name, str_from(options[i].environment));
		if (!is_known)
			return error_set(error, ERR_INVALID,
					 "unknown variable %.*s; 'serve --help' lists those it knows", STR_ARG(name));
	}
	return ERR_OK;
}

static enum err read_egress(struct settings *settings, const struct option_set *set, struct error *error)
{
	const struct option_value *value = &set->values[OPTION_EGRESS_ALLOW];

	for (unsigned i = 0; i < value->n; i++)
		if (!egress_allow(&settings->egress, value->values[i]))
			return error_set(
				error, ERR_INVALID,
				"%s: '%.*s' is no network in CIDR form without host bits, such as 10.0.0.0/8 or 192.168.1.5/32",
				option_name(set, OPTION_EGRESS_ALLOW), STR_ARG(value->values[i]));
	return ERR_OK;
}

static enum err check_listen(const struct option_set *set, unsigned index, struct error *error)
{
	struct str address = option_text(set, index);

	if (!address.p || http_address_is_valid(address))
		return ERR_OK;
	return error_set(error, ERR_INVALID, "%s: '%.*s' is no address and port such as 127.0.0.1:8000 or [::1]:8000",
			 option_name(set, index), STR_ARG(address));
}

static enum err read_log_level(struct settings *settings, const struct option_set *set, struct error *error)
{
	struct str text = option_text(set, OPTION_LOG_LEVEL);
	static const char *const names[] = {
		[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"
	};

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (str_equal(text, str_from(names[i]))) {
			settings->log_level = (enum log_level)i;
			return ERR_OK;
		}
	}
	return error_set(error, ERR_INVALID, "%s: '%.*s' is none of debug, info, warn, error",
			 option_name(set, OPTION_LOG_LEVEL), STR_ARG(text));
}

static bool has_control_bytes(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
			return true;
	return false;
}

static enum err read_integrations(struct settings *settings, const struct option_set *set, struct error *error)
{
	struct str hook = option_text(set, OPTION_HOOK_TOKEN), user = option_text(set, OPTION_METRICS_USER);
	struct str password = option_text(set, OPTION_METRICS_PASSWORD), push = option_text(set, OPTION_METRICS_URL);
	struct url url;

	if (str_equal(hook, STR("REPLACEME")) || has_control_bytes(hook))
		return error_set(error, ERR_INVALID,
				 "HOOK_AUTH_TOKEN: set a token of your own without control characters, or unset it");
	settings->store.hook_token = hook;
	if (!push.p)
		return ERR_OK;
	while (push.n && push.p[push.n - 1] == '/')
		push.n--;
	if (!url_parse(push, &url) || push.n > URL_BYTES_MAX - 16)
		return error_set(
			error, ERR_INVALID,
			"METRICS_URL: it is no http or https URL without user and password; those go into METRICS_AUTH_USER and "
			"METRICS_AUTH_PASSWORD");
	settings->store.metrics_url = push;
	if (user.p) {
		struct str pair = arena_printf(&settings->arena, "%.*s:%.*s", STR_ARG(user), STR_ARG(password));
		struct buf text;

		buf_init(&text, 8192);
		buf_add(&text, STR("Basic "));
		base64_add(&text, pair);
		settings->store.metrics_authorization = arena_copy(&settings->arena, buf_str(&text));
		buf_release(&text);
	}
	return ERR_OK;
}

static enum err read_numbers(struct settings *settings, const struct option_set *set, struct error *error)
{
	int64_t interval_s = 0, timeout_s = 0;
	enum err err = option_number(set, OPTION_AUTH_FAILURES, 0, 1000000, &settings->auth_failures_per_minute, error);

	if (err == ERR_OK)
		err = option_number(set, OPTION_INTERVAL_MIN, 1, 86400, &interval_s, error);
	if (err == ERR_OK)
		err = option_number(set, OPTION_TIMEOUT, 1, 300, &timeout_s, error);
	settings->store.interval_us_min = interval_s * US_PER_SECOND;
	settings->attempt_us_max = timeout_s * US_PER_SECOND;
	return err;
}

static enum err read_period(const struct option_set *set, unsigned index, int64_t *period_us, struct error *error)
{
	struct str text = option_text(set, index);

	if (interval_parse(text, period_us) == INTERVAL_OK && *period_us >= US_PER_MINUTE &&
	    *period_us <= RETENTION_DAYS_MAX * US_PER_DAY)
		return ERR_OK;
	return error_set(error, ERR_INVALID, "%s: '%.*s' is no time from 1 minute to %d days such as '7 days'",
			 option_name(set, index), STR_ARG(text), RETENTION_DAYS_MAX);
}

static enum err read_retention(struct settings *settings, const struct option_set *set, struct error *error)
{
	struct store_settings *store = &settings->store;
	enum err err = read_period(set, OPTION_RETENTION, &store->retention_us, error);

	if (err == ERR_OK)
		err = read_period(set, OPTION_RETENTION_FAILED, &store->retention_failed_us, error);
	/* What was not said gives way. */
	if (err == ERR_OK && !set->values[OPTION_RETENTION_FAILED].is_given &&
	    store->retention_failed_us < store->retention_us)
		store->retention_failed_us = store->retention_us;
	if (err == ERR_OK && store->retention_failed_us < store->retention_us)
		err = error_set(error, ERR_INVALID, "%s: failed runs are kept at least as long as delivered ones",
				option_name(set, OPTION_RETENTION_FAILED));
	return err;
}

enum err settings_read(struct settings *settings, int argc, char **argv, struct error *error)
{
	struct option_value values[OPTIONS_N] = { 0 };
	struct option_set set = {
		.options = options, .options_n = OPTIONS_N, .values = values, .arena = &settings->arena
	};
	struct str path;

	*settings = (struct settings){ 0 };
	enum err err = options_read(&set, argc, argv, error);

	if (err)
		return err;
	settings->wants_help = values[OPTION_HELP].n > 0;
	if (settings->wants_help)
		return ERR_OK;
	if (set.words_n)
		return error_set(error, ERR_INVALID, "serve takes no word '%.*s', only options; --help lists them",
				 STR_ARG(set.words[0]));
	settings->listen = option_text(&set, OPTION_LISTEN);
	settings->metrics_listen = option_text(&set, OPTION_METRICS_LISTEN);
	settings->store.url = option_text(&set, OPTION_DATABASE);
	settings->store.key_file = option_text(&set, OPTION_KEY_FILE);
	settings->ca_file = option_text(&set, OPTION_CA_FILE).p;
	settings->dns_servers = option_text(&set, OPTION_DNS_SERVERS).p;
	err = check_environment(error);
	if (err == ERR_OK)
		err = store_url_check(settings->store.url, &path, error);
	if (err == ERR_OK)
		err = check_listen(&set, OPTION_LISTEN, error);
	if (err == ERR_OK)
		err = check_listen(&set, OPTION_METRICS_LISTEN, error);
	if (err == ERR_OK)
		err = read_egress(settings, &set, error);
	if (err == ERR_OK)
		err = read_log_level(settings, &set, error);
	if (err == ERR_OK)
		err = read_numbers(settings, &set, error);
	if (err == ERR_OK)
		err = read_retention(settings, &set, error);
	if (err == ERR_OK)
		err = read_integrations(settings, &set, error);
	return err;
}

void settings_print_help(void)
{
	printf("seed-scheduler serve [OPTION]...\n\n");
	options_print(options, OPTIONS_N);
}

void settings_release(struct settings *settings)
{
	arena_release(&settings->arena);
}
