/* SPDX-License-Identifier: BSD-3-Clause */
/* `seed-scheduler serve`: starts the parts in order, says that it is ready, waits for a signal, stops them in the
 * opposite order.
 *
 * Three threads: this one is the front loop (API, control socket, housekeeping); the store's and the delivery's are
 * started here and joined here. Stopping: no new requests and no new claims; what flies ends and is recorded; the store
 * thread, which takes everybody's last writes, stops last. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/failpoint.h"
#include "base/metrics.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/housekeeping.h"
#include "cli/settings.h"
#include "core/url.h"
#include "deliver/delivery_loop.h"
#include "deliver/resolver.h"
#include "store/zonefile.h"

enum {
	STOP_TICK_MS = 20,
	STOP_SPARE_US = 5 * 1000000, /* beyond the time of an attempt; a client that does not take its answer is cut off
					after twice that */
	READY_OLDEST_DUE_S = 5,
	READY_LOOP_STALE_S = 10,
	CONNECTIONS_MAX = 4096, /* to endpoints, idle ones included */
	DESCRIPTORS_SPARE = 512,
	HELD_RUNS_MAX = 16384,
	HELD_BYTES_MAX = 32 << 20,
	IN_FLIGHT_MAX = 1024,
	LANE_IN_FLIGHT_MAX = 128,
	LOOK_AHEAD_MS = 500,
	RESERVE_BYTES = 8 << 20, /* the results of IN_FLIGHT_MAX attempts take two, and the log as much again */
};

struct service {
	struct settings settings;
	struct store *writer, *reader;
	struct store_thread *store_thread;
	struct zonefile_cache *zones;
	struct delivery *delivery;
	struct http_server *server;
	struct api *api;
	struct control *control;
	struct housekeeping *housekeeping;
	uv_loop_t loop;
	uv_signal_t on_term, on_int;
	uv_timer_t stop_timer;
	struct boot stop_began;
	bool stopping, closed;
	char bound[64], metrics_bound[64];
};

static void log_fatal(const char *event, const struct error *error)
{
	log_event(LOG_ERROR, event, log_text("problem", error->text));
}

/* --- readiness --- */

/* What the store met, as its metrics tell. */
static bool is_disk_well(struct error *error)
{
	if (metric_get(METRIC_STORE_RESERVE_SPENT)) {
		error_set(error, ERR_UNAVAILABLE,
			  "the database's disk is full: free space, or raise the quota or the file size limit");
		return false;
	}
	int64_t damage = metric_get(METRIC_STORE_DAMAGE);

	if (damage) {
		error_set(
			error, ERR_CORRUPT,
			"the database is damaged: %lld reads or writes met it, and the log says where; stop the service, "
			"keep a copy of the files, and restore a backup",
			(long long)damage);
		return false;
	}
	return true;
}

static bool is_ready(void *ctx, struct error *error)
{
	struct service *service = ctx;

	if (service->stopping) {
		error_set(error, ERR_UNAVAILABLE, "the service is stopping");
		return false;
	}
	if (!is_disk_well(error))
		return false;
	struct delivery_health health = delivery_health(service->delivery);

	if (boot_since_us(clock_read().boot, health.turned_at) > READY_LOOP_STALE_S * US_PER_SECOND) {
		error_set(error, ERR_UNAVAILABLE, "the delivery thread has not turned for more than %d s",
			  READY_LOOP_STALE_S);
		return false;
	}
	if (health.oldest_due_us > READY_OLDEST_DUE_S * US_PER_SECOND) {
		error_set(error, ERR_UNAVAILABLE, "the oldest due run waits for more than %d s", READY_OLDEST_DUE_S);
		return false;
	}
	return housekeeping_store_is_well(service->housekeeping, error);
}

/* --- start --- */

/* As many descriptors as the system lets us have: connections of clients and to endpoints are bounded by
 * constants. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

struct shares {
	unsigned clients, endpoints; /* connections */
};

/* An attempt that finds no descriptor keeps its schedule waiting. So what may fly and who may come is cut
 * down beforehand where the system gives us few. */
static struct shares share_descriptors(void)
{
	struct shares shares = { .clients = http_limits_default.connections_max, .endpoints = CONNECTIONS_MAX };
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
	    limit.rlim_cur >= shares.clients + shares.endpoints + DESCRIPTORS_SPARE)
		return shares;
	unsigned all = (unsigned)limit.rlim_cur;
	unsigned own = all / 2 < DESCRIPTORS_SPARE ? all / 2 : DESCRIPTORS_SPARE;
	unsigned half = (all - own) / 2 + 1;

	if (shares.endpoints > half)
		shares.endpoints = half;
	if (shares.clients > all - own - shares.endpoints)
		shares.clients = all - own - shares.endpoints;
	return shares;
}

static enum err recover(struct store *store, struct store_job *job)
{
	return store_recover(store, clock_read().wall, job->ctx);
}

static enum err open_stores(struct service *service, struct error *error)
{
	int64_t recovered = 0;

	service->settings.store.reserve_bytes = RESERVE_BYTES;
	enum err err = store_open_writer(&service->settings.store, &service->writer, error);

	if (err == ERR_OK)
		err = store_run_now(service->writer, recover, &recovered, error);
	if (err == ERR_OK)
		err = store_open_reader(&service->settings.store, &service->reader, error);
	if (err == ERR_OK)
		log_event(LOG_INFO, "store_opened", log_int("recovered_runs", recovered));
	return err;
}

/* The service's own address must not be called, whatever is allowed. */
static void refuse_own(struct service *service, const char *bound)
{
	struct egress_policy *egress = &service->settings.egress;
	struct str text = arena_printf(&service->settings.arena, "http://%s", bound);
	static const uint8_t zeros[16];
	struct url url;

	if (!url_parse(text, &url) || url.host_kind == URL_HOST_NAME)
		return;
	bool is_v6 = url.host_kind == URL_HOST_IPV6;

	egress->own[egress->own_n].address = address_from_bytes(url.address, is_v6);
	egress->own[egress->own_n].port = url.port;
	egress->own[egress->own_n].any_address = memcmp(url.address, zeros, is_v6 ? 16 : 4) == 0;
	egress->own_n++;
}

static enum err open_listeners(struct service *service, struct error *error)
{
	static struct api_library libraries[5];
	struct http_limits limits = http_limits_default;

	limits.connections_max = share_descriptors().clients;
	libraries[0] = (struct api_library){ "sqlite", store_library_version() };
	libraries[1] = (struct api_library){ "openssl", crypto_version() };
	libraries[2] = (struct api_library){ "libuv", uv_version_string() };
	libraries[3] = (struct api_library){ "llhttp", http_parser_version() };
	libraries[4] = (struct api_library){ "c-ares", resolver_version() };
	struct api_options options = { .loop = &service->loop,
				       .reader = service->reader,
				       .writer = service->store_thread,
				       .egress = &service->settings.egress,
				       .zones = service->zones,
				       .interval_us_min = service->settings.store.interval_us_min,
				       .auth_failures_per_minute = (unsigned)service->settings.auth_failures_per_minute,
				       .has_metrics_listener = service->settings.metrics_listen.p != NULL,
				       .is_ready = is_ready,
				       .is_ready_ctx = service,
				       .libraries = libraries,
				       .libraries_n = sizeof libraries / sizeof libraries[0] };

	service->api = api_new(&options);
	service->server = http_server_new(&service->loop, &limits, api_handle, service->api, api_refuse);
	enum err err = http_server_listen(service->server, service->settings.listen, false, service->bound, error);

	if (err == ERR_OK && service->settings.metrics_listen.p)
		err = http_server_listen(service->server, service->settings.metrics_listen, true,
					 service->metrics_bound, error);
	refuse_own(service, service->bound);
	refuse_own(service, service->metrics_bound);
	return err;
}

static enum err open_delivery(struct service *service, struct error *error)
{
	struct instant now = clock_read();
	unsigned endpoints = share_descriptors().endpoints;
	struct delivery_options options = {
		.dispatcher = { .held_max = HELD_RUNS_MAX,
				.held_bytes_max = HELD_BYTES_MAX,
				.in_flight_max = endpoints < IN_FLIGHT_MAX ? endpoints : IN_FLIGHT_MAX,
				.lane_in_flight_max = LANE_IN_FLIGHT_MAX,
				.look_ahead_us = LOOK_AHEAD_MS * US_PER_MS,
				.retry = retry_policy_default },
		.outbound = { .egress = &service->settings.egress,
			      .attempt_us_max = service->settings.attempt_us_max,
			      .connect_us_max = 5 * US_PER_SECOND,
			      .idle_us_max = 60 * US_PER_SECOND,
			      .connections_max = endpoints,
			      .ca_file = service->settings.ca_file,
			      .dns_servers = service->settings.dns_servers },
		.missed_before = now.wall,
		.drain_us_max = service->settings.attempt_us_max + STOP_SPARE_US,
	};

	random_bytes(&options.dispatcher.seed, sizeof options.dispatcher.seed);
	return delivery_new(&options, &service->delivery, error);
}

static void on_signal(uv_signal_t *handle, int number);

static enum err start(struct service *service, struct error *error)
{
	char zones_version[32];
	struct str path;
	enum err err = open_stores(service, error);

	if (err == ERR_OK)
		err = open_delivery(service, error);
	if (err)
		return err;
	service->zones = zonefile_cache_new(NULL);
	zonefile_version(service->zones, zones_version, sizeof zones_version);
	metrics_set_tzdata_version(zones_version);
	service->store_thread = store_thread_start(service->writer, delivery_notices(service->delivery));
	err = open_listeners(service, error);
	if (err == ERR_OK)
		err = store_url_check(service->settings.store.url, &path, error);
	if (err == ERR_OK)
		err = control_listen(&service->loop, service->store_thread, path, &service->control, error);
	if (err == ERR_OK)
		err = delivery_start(service->delivery, service->store_thread, error);
	if (err)
		return err;
	service->housekeeping = housekeeping_start(&service->loop, service->store_thread);
	uv_signal_init(&service->loop, &service->on_term);
	uv_signal_init(&service->loop, &service->on_int);
	service->on_term.data = service->on_int.data = service;
	uv_signal_start(&service->on_term, on_signal, SIGTERM);
	uv_signal_start(&service->on_int, on_signal, SIGINT);
	return ERR_OK;
}

/* --- stop --- */

static void close_everything(struct service *service)
{
	service->closed = true;
	http_server_close(service->server);
	api_drain(service->api);
	housekeeping_stop(service->housekeeping);
	uv_close((uv_handle_t *)&service->stop_timer, NULL);
	uv_close((uv_handle_t *)&service->on_term, NULL);
	uv_close((uv_handle_t *)&service->on_int, NULL);
}

/* This loop turns until clients have their answers and the delivery thread has ended, each within its own time. */
static void on_stop_tick(uv_timer_t *timer)
{
	struct service *service = timer->data;
	bool is_late = boot_since_us(clock_read().boot, service->stop_began) >
		       service->settings.attempt_us_max + 2 * STOP_SPARE_US;
	bool is_done = http_server_is_idle(service->server) && api_is_idle(service->api) &&
		       delivery_has_ended(service->delivery);

	if (!service->closed && (is_late || is_done))
		close_everything(service);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct service *service = handle->data;

	if (service->stopping) {
		/* Typed twice at a terminal. A supervisor that repeats itself has SIGKILL, which is as safe. */
		if (number == SIGINT)
			_exit(128 + number);
		return;
	}
	log_event(LOG_INFO, "stopping", log_int("signal", number));
	FAILPOINT("serve.stopping");
	service->stopping = true;
	service->stop_began = clock_read().boot;
	delivery_drain(service->delivery);
	http_server_drain(service->server);
	control_close(service->control);
	uv_timer_init(&service->loop, &service->stop_timer);
	service->stop_timer.data = service;
	uv_timer_start(&service->stop_timer, on_stop_tick, 0, STOP_TICK_MS);
}

static int serve(struct service *service)
{
	struct error error = { 0 };

	uv_loop_init(&service->loop);
	if (start(service, &error)) {
		/* Nothing was acknowledged yet; the process's end gives everything back. */
		log_fatal("start_failed", &error);
		fprintf(stderr, "seed-scheduler: %s\n", error.text);
		return EXIT_NOT_DONE;
	}
	FAILPOINT("serve.started");
	log_event(LOG_INFO, "ready", log_text("listen", service->bound),
		  log_str("metrics_listen",
			  service->metrics_bound[0] ? str_from(service->metrics_bound) : (struct str){ NULL, 0 }),
		  log_text("version", SEED_VERSION), log_int("pid", getpid()));
	uv_run(&service->loop, UV_RUN_DEFAULT);
	bool all_ended = delivery_join(service->delivery);

	FAILPOINT("serve.drained");
	store_close(store_thread_stop(service->store_thread));
	FAILPOINT("serve.closed");
	store_close(service->reader);
	delivery_free(service->delivery);
	http_server_free(service->server);
	api_free(service->api);
	housekeeping_free(service->housekeeping);
	control_free(service->control);
	zonefile_cache_free(service->zones);
	uv_loop_close(&service->loop);
	/* The workers end while OpenSSL can still give back what it keeps for each of them. */
	uv_library_shutdown();
	log_event(LOG_INFO, "stopped",
		  log_text("attempts", all_ended ? "all ended and recorded"
						 : "some were cut off and start again at the next start"));
	return EXIT_DONE;
}

int command_serve(int argc, char **argv)
{
	static struct service service;
	struct error error = { 0 };
	enum err err = settings_read(&service.settings, argc, argv, &error);
	int code = EXIT_DONE;

	if (err) {
		fprintf(stderr, "seed-scheduler: %s\n", error.text);
		code = EXIT_USAGE;
	} else if (service.settings.wants_help) {
		settings_print_help();
	} else {
		signal(SIGPIPE, SIG_IGN);
		/* A file size limit is an error of the write, like a full disk. */
		signal(SIGXFSZ, SIG_IGN);
		log_set_level(service.settings.log_level);
		raise_descriptor_limit();
		code = serve(&service);
	}
	settings_release(&service.settings);
	return code;
}
