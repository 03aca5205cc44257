/* SPDX-License-Identifier: BSD-3-Clause */
/* Users, groups and tokens. Of a token only its SHA-256 is kept, and the first digits to tell tokens apart. */
#include <string.h>

#include "store/internal.h"

enum { GROUPS_PER_USER_MAX = 1000 };

/* --- users ----------------------------------------------------------------------------------------------- */

static void read_user(const struct db_cursor *row, struct arena *arena, struct user *user)
{
	*user = (struct user){
		.id = db_get_int(row, 0),
		.username = db_get_str(row, 1, arena),
		.email = db_get_str(row, 2, arena),
		.password_hash = db_get_str(row, 3, arena),
		.is_staff = db_get_bool(row, 4),
		.is_active = db_get_bool(row, 5),
	};
}

static enum err load_groups(struct store *store, struct arena *arena, struct user *user)
{
	int64_t ids[GROUPS_PER_USER_MAX];
	struct db_cursor row =
		db_query(store->db, SQL_USER_GROUPS, DB_ARGS(db_int(user->id), db_int(GROUPS_PER_USER_MAX)));
	size_t n = 0;

	while (n < GROUPS_PER_USER_MAX && db_next(&row))
		ids[n++] = db_get_int(&row, 0);
	if (n > 0) {
		int64_t *kept = arena_alloc(arena, n * sizeof *kept);

		memcpy(kept, ids, n * sizeof *kept);
		user->groups = kept;
	}
	user->groups_n = n;
	return db_end(&row);
}

static enum err load_user(struct store *store, enum statement statement, struct db_value key, struct arena *arena,
			  struct user *user)
{
	struct db_cursor row = db_query(store->db, statement, DB_ARGS(key));
	bool found = db_next(&row);

	if (found)
		read_user(&row, arena, user);
	enum err err = db_end(&row);

	if (err != ERR_OK || !found)
		return err == ERR_OK ? ERR_NOT_FOUND : err;
	return load_groups(store, arena, user);
}

enum err store_user_by_token(struct store *store, const uint8_t digest[32], struct arena *arena, struct user *user)
{
	return load_user(store, SQL_USER_BY_TOKEN, db_blob(digest, 32), arena, user);
}

enum err store_user_by_name(struct store *store, struct str username, struct arena *arena, struct user *user)
{
	return load_user(store, SQL_USER_BY_NAME, db_text(username), arena, user);
}

enum err store_user_get(struct store *store, int64_t id, struct arena *arena, struct user *user)
{
	return load_user(store, SQL_USER_GET, db_int(id), arena, user);
}

enum err store_user_insert(struct store *store, const struct user *draft, struct wall now, int64_t *id)
{
	struct str email = draft->email.p ? draft->email : STR("");
	enum err err = db_run(store->db, SQL_USER_INSERT,
			      DB_ARGS(db_text(draft->username), db_text(email), db_text(draft->password_hash),
				      db_int(draft->is_staff), db_int(draft->is_active), db_int(now.us)));

	if (err == ERR_OK)
		*id = db_last_id(store->db);
	return err;
}

enum err store_user_set_password(struct store *store, int64_t id, struct str password_hash)
{
	return db_run_one(store->db, SQL_USER_SET_PASSWORD, DB_ARGS(db_int(id), db_text(password_hash)));
}

enum err store_user_set_active(struct store *store, int64_t id, bool is_active)
{
	return db_run_one(store->db, SQL_USER_SET_ACTIVE, DB_ARGS(db_int(id), db_int(is_active)));
}

/* created_by and updated_by of schedules need no write: an id that names nobody reads as null, and ids are never used
 * twice. */
enum err store_user_delete(struct store *store, int64_t id)
{
	static const enum statement dependants[] = { SQL_TOKEN_DELETE_OF_USER, SQL_MEMBER_DELETE_OF_USER,
						     SQL_WEBHOOK_DELETE_OF_USER };
	enum err err = db_run_one(store->db, SQL_USER_DELETE, DB_ARGS(db_int(id)));

	for (size_t i = 0; err == ERR_OK && i < sizeof dependants / sizeof dependants[0]; i++)
		err = db_run(store->db, dependants[i], DB_ARGS(db_int(id)));
	return err;
}

enum err store_user_list(struct store *store, struct page page, on_user on_row, void *ctx)
{
	struct store_page at = store_page(page);
	struct db_cursor row = db_query(store->db, SQL_USER_LIST, DB_ARGS(at.below, at.limit, at.offset));
	enum err err = ERR_OK;
	bool more = true;

	while (more && err == ERR_OK && db_next(&row)) {
		struct arena arena = { 0 };
		struct user user;

		read_user(&row, &arena, &user);
		err = load_groups(store, &arena, &user);
		if (err == ERR_OK)
			more = on_row(ctx, &user);
		arena_release(&arena);
	}
	enum err ended = db_end(&row);

	return err == ERR_OK ? ended : err;
}

/* --- groups ---------------------------------------------------------------------------------------------- */

static enum err load_group(struct store *store, enum statement statement, struct db_value key, struct arena *arena,
			   struct group *group)
{
	struct db_cursor row = db_query(store->db, statement, DB_ARGS(key));
	bool found = db_next(&row);

	if (found)
		*group = (struct group){ .id = db_get_int(&row, 0), .name = db_get_str(&row, 1, arena) };
	enum err err = db_end(&row);

	return err == ERR_OK && !found ? ERR_NOT_FOUND : err;
}

enum err store_group_get(struct store *store, int64_t id, struct arena *arena, struct group *group)
{
	return load_group(store, SQL_GROUP_GET, db_int(id), arena, group);
}

enum err store_group_by_name(struct store *store, struct str name, struct arena *arena, struct group *group)
{
	return load_group(store, SQL_GROUP_BY_NAME, db_text(name), arena, group);
}

enum err store_group_insert(struct store *store, struct str name, int64_t *id)
{
	enum err err = db_run(store->db, SQL_GROUP_INSERT, DB_ARGS(db_text(name)));

	if (err == ERR_OK)
		*id = db_last_id(store->db);
	return err;
}

enum err store_group_add(struct store *store, int64_t group_id, int64_t user_id)
{
	int64_t found;
	enum err err = db_number(store->db, SQL_MEMBER_CAN_BE, DB_ARGS(db_int(group_id), db_int(user_id)), &found);

	return err == ERR_OK ? db_run(store->db, SQL_MEMBER_INSERT, DB_ARGS(db_int(user_id), db_int(group_id))) : err;
}

enum err store_group_list(struct store *store, struct page page, on_group on_row, void *ctx)
{
	struct store_page at = store_page(page);
	struct db_cursor row = db_query(store->db, SQL_GROUP_LIST, DB_ARGS(at.below, at.limit, at.offset));
	bool more = true;

	while (more && db_next(&row)) {
		struct group group = { .id = db_get_int(&row, 0), .name = db_get_str(&row, 1, NULL) };

		more = on_row(ctx, &group);
	}
	return db_end(&row);
}

/* --- tokens ---------------------------------------------------------------------------------------------- */

enum err store_token_insert(struct store *store, int64_t user_id, const uint8_t digest[32], const char prefix[8],
			    struct wall now)
{
	struct str digits = { prefix, sizeof((struct token *)0)->prefix };

	return db_run(store->db, SQL_TOKEN_INSERT,
		      DB_ARGS(db_blob(digest, 32), db_text(digits), db_int(user_id), db_int(now.us)));
}

enum err store_token_revoke(struct store *store, int64_t id)
{
	return db_run_one(store->db, SQL_TOKEN_DELETE, DB_ARGS(db_int(id)));
}

enum err store_token_list(struct store *store, int64_t user_id, on_token on_row, void *ctx)
{
	struct db_cursor row = db_query(store->db, SQL_TOKEN_LIST, DB_ARGS(db_int(user_id)));
	bool more = true;

	while (more && db_next(&row)) {
		struct token token = { .id = db_get_int(&row, 0),
				       .user_id = db_get_int(&row, 1),
				       .created_at = db_get_wall(&row, 3) };
		struct str digits = db_get_str(&row, 2, NULL);

		memcpy(token.prefix, digits.p, digits.n < sizeof token.prefix ? digits.n : sizeof token.prefix);
		more = on_row(ctx, &token);
	}
	return db_end(&row);
}
