/* SPDX-License-Identifier: BSD-3-Clause */
/* Webhooks as records; what is sent to them is in store_push.c. */
#include "base/failpoint.h"
#include "store/internal.h"

static void read_webhook(const struct db_cursor *row, struct arena *arena, struct webhook *webhook)
{
	*webhook = (struct webhook){
		.id = db_get_int(row, 0),
		.event = db_get_str(row, 1, arena),
		.target = db_get_str(row, 2, arena),
		.user_id = db_get_int(row, 3),
		.created_at = db_get_wall(row, 4),
		.updated_at = db_get_wall(row, 5),
	};
}

enum err store_webhook_get(struct store *store, int64_t id, struct arena *arena, struct webhook *out)
{
	struct db_cursor row = db_query(store->db, SQL_WEBHOOK_GET, DB_ARGS(db_int(id)));
	bool found = db_next(&row);

	if (found)
		read_webhook(&row, arena, out);
	enum err err = db_end(&row);

	return err == ERR_OK && !found ? ERR_NOT_FOUND : err;
}

enum err store_webhook_insert(struct store *store, struct str event, struct str target, int64_t user_id,
			      struct wall now, struct arena *arena, struct webhook *out)
{
	enum err err = db_run(store->db, SQL_WEBHOOK_INSERT,
			      DB_ARGS(db_text(event), db_text(target), db_int(user_id), db_int(now.us)));

	FAILPOINT("store.webhook.inserted");
	return err == ERR_OK ? store_webhook_get(store, db_last_id(store->db), arena, out) : err;
}

enum err store_webhook_update(struct store *store, int64_t id, struct str event, struct str target, struct wall now,
			      struct arena *arena, struct webhook *out)
{
	enum err err = db_run_one(store->db, SQL_WEBHOOK_UPDATE,
				  DB_ARGS(db_int(id), db_text(event), db_text(target), db_int(now.us)));

	return err == ERR_OK ? store_webhook_get(store, id, arena, out) : err;
}

enum err store_webhook_delete(struct store *store, int64_t id)
{
	return db_run_one(store->db, SQL_WEBHOOK_DELETE, DB_ARGS(db_int(id)));
}

enum err store_webhook_list(struct store *store, struct page page, on_webhook on_row, void *ctx)
{
	struct store_page at = store_page(page);
	struct db_cursor row = db_query(store->db, SQL_WEBHOOK_LIST, DB_ARGS(at.below, at.limit, at.offset));
	bool more = true;

	while (more && db_next(&row)) {
		struct webhook webhook;

		read_webhook(&row, NULL, &webhook);
		more = on_row(ctx, &webhook);
	}
	return db_end(&row);
}
