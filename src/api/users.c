/* SPDX-License-Identifier: BSD-3-Clause */
/* /api/v1/, user/ and group/: what is read of accounts. They are made by the command line, and by tokens.c. */
#include "api/list.h"

#define USERS "/api/v1/user/"
#define GROUPS "/api/v1/group/"

void root_show(struct api_call *call)
{
	static const struct {
		const char *name, *collection;
	} entries[] = {
		{ "user", USERS },
		{ "group", GROUPS },
		{ "schedule", "/api/v1/schedule/" },
		{ "webhook", "/api/v1/webhook/" },
		{ "failed-tasks", "/api/v1/failed-tasks/" },
	};
	struct buf *body = call_body(call);

	buf_add_char(body, '{');
	for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
		json_key(body, entries[i].name);
		links_add(body, &call->links, entries[i].collection, (struct str){ NULL, 0 });
	}
	buf_add_char(body, '}');
	call_send(call, 200);
}

static void render_user(struct buf *json, const struct links *links, const struct user *user)
{
	buf_add(json, STR("{\"url\":"));
	links_add_number(json, links, USERS, user->id);
	buf_add(json, STR(",\"username\":"));
	json_add_string(json, user->username);
	buf_add(json, STR(",\"email\":"));
	json_add_string(json, user->email);
	buf_add(json, STR(",\"groups\":["));
	for (size_t i = 0; i < user->groups_n; i++) {
		if (i > 0)
			buf_add_char(json, ',');
		links_add_number(json, links, GROUPS, user->groups[i]);
	}
	buf_add(json, STR("]}"));
}

static void render_group(struct buf *json, const struct links *links, const struct group *group)
{
	buf_add(json, STR("{\"url\":"));
	links_add_number(json, links, GROUPS, group->id);
	buf_add(json, STR(",\"name\":"));
	json_add_string(json, group->name);
	buf_add_char(json, '}');
}

static bool on_user_row(void *ctx, const struct user *user)
{
	struct list *list = ctx;

	render_user(list_row_begin(list), list_links(list), user);
	return list_row_end(list, user->id);
}

static enum err user_rows(struct store *store, struct page page, struct list *list)
{
	return store_user_list(store, page, on_user_row, list);
}

void user_list(struct api_call *call)
{
	static const struct list_kind kind = { STORE_USERS, user_rows };

	list_send(call, &kind);
}

void user_show(struct api_call *call)
{
	struct user user;
	int64_t id;

	if (!call_integer_id(call, &id) ||
	    !call_found(call, store_user_get(call->api->options.reader, id, call->arena, &user)))
		return;
	render_user(call_body(call), &call->links, &user);
	call_send(call, 200);
}

static bool on_group_row(void *ctx, const struct group *group)
{
	struct list *list = ctx;

	render_group(list_row_begin(list), list_links(list), group);
	return list_row_end(list, group->id);
}

static enum err group_rows(struct store *store, struct page page, struct list *list)
{
	return store_group_list(store, page, on_group_row, list);
}

void group_list(struct api_call *call)
{
	static const struct list_kind kind = { STORE_GROUPS, group_rows };

	list_send(call, &kind);
}

void group_show(struct api_call *call)
{
	struct group group;
	int64_t id;

	if (!call_integer_id(call, &id) ||
	    !call_found(call, store_group_get(call->api->options.reader, id, call->arena, &group)))
		return;
	render_group(call_body(call), &call->links, &group);
	call_send(call, 200);
}
