/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes the database that every history begins with, once: opening a new one costs as much as a quiet virtual hour. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "inside.h"
#include "machine.h"

static enum err insert_user(struct store *store, struct store_job *job)
{
	struct user user = {
		.username = STR("sim"), .email = STR("sim@example.com"), .is_staff = true, .is_active = true
	};
	uint8_t digest[DIGEST_BYTES];
	int64_t id;
	enum err err = store_user_insert(store, &user, (struct wall){ 0 }, &id);

	(void)job;
	sha256(STR(SIM_TOKEN), digest);
	return err == ERR_OK ? store_token_insert(store, id, digest, "01234567", (struct wall){ 0 }) : err;
}

/* Closing it brings everything from the log into the file. */
static bool make_image(struct rig *rig)
{
	struct crash_disk *disk = crash_disk_new(rig->directory);
	struct store *store = NULL;
	struct error error = { .text = "" };
	char path[100], url[120];
	size_t n = 0;

	snprintf(path, sizeof path, "%s/sim.db", rig->directory);
	snprintf(url, sizeof url, "sqlite:%s", path);
	if (store_open_writer(&(struct store_settings){ .url = str_from(url) }, &store, &error) == ERR_OK &&
	    store_run_now(store, insert_user, NULL, &error) == ERR_OK) {
		store_close(store);
		const uint8_t *bytes = crash_disk_bytes(disk, path, &n);

		rig->image = memory_new(n);
		rig->image_n = n;
		memcpy(rig->image, bytes, n);
	} else {
		fprintf(stderr, "sim: %s\n", error.text);
		store_close(store);
	}
	crash_disk_free(disk);
	return rig->image != NULL;
}

struct rig *rig_new(void)
{
	struct rig *rig = memory_new(sizeof *rig);

	machine_set_chance(1);
	snprintf(rig->directory, sizeof rig->directory, "%s/sim.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	uv_loop_init(&rig->loop);
	rig->zones = zonefile_cache_new(NULL);
	if (mkdtemp(rig->directory) && make_image(rig))
		return rig;
	rig_free(rig);
	return NULL;
}

void rig_free(struct rig *rig)
{
	static const char *const names[] = { "sim.db", "sim.db.key" };

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		char path[100];

		snprintf(path, sizeof path, "%s/%s", rig->directory, names[i]);
		unlink(path);
	}
	rmdir(rig->directory);
	zonefile_cache_free(rig->zones);
	uv_loop_close(&rig->loop);
	free(rig->image);
	free(rig);
}
