/* SPDX-License-Identifier: BSD-3-Clause */
/* Users, groups, tokens and webhooks as records. */
#include "contract.h"

struct names {
	char text[256];
	size_t n;
	size_t stop_after;
};

static bool add_name(struct names *names, struct str name)
{
	size_t at = strlen(names->text);

	memcpy(names->text + at, name.p, name.n);
	names->text[at + name.n] = ' ';
	names->n++;
	return names->stop_after == 0 || names->n < names->stop_after;
}

static bool on_user_name(void *ctx, const struct user *user)
{
	return add_name(ctx, user->username);
}

static bool on_group_name(void *ctx, const struct group *group)
{
	return add_name(ctx, group->name);
}

static bool on_target(void *ctx, const struct webhook *webhook)
{
	return add_name(ctx, webhook->target);
}

static bool on_prefix(void *ctx, const struct token *token)
{
	return add_name(ctx, (struct str){ token->prefix, sizeof token->prefix });
}

static int64_t add_user(struct fixture *f, const char *name)
{
	struct user user = {
		.username = str_from(name), .email = STR("e@x.org"), .is_active = true, .is_staff = name[0] == 's'
	};
	int64_t id = 0;

	begin(f);
	assert_ok(store_user_insert(f->store, &user, f->now, &id));
	commit(f);
	return id;
}

static void users_are_kept(void **state)
{
	struct fixture *f = *state;
	int64_t id = add_user(f, "staff"), other, group;
	struct user user, twice = { .username = STR("staff"), .email = STR("") };
	struct names names = { .text = "" };

	begin(f);
	assert_int_equal(store_user_insert(f->store, &twice, f->now, &other), ERR_CONFLICT);
	assert_ok(store_group_insert(f->store, STR("ops"), &group));
	assert_int_equal(store_group_insert(f->store, STR("ops"), &other), ERR_CONFLICT);
	assert_ok(store_group_add(f->store, group, id));
	assert_ok(store_group_add(f->store, group, id));
	assert_int_equal(store_group_add(f->store, group + 1, id), ERR_NOT_FOUND);
	assert_int_equal(store_group_add(f->store, group, id + 1), ERR_NOT_FOUND);
	assert_ok(store_user_set_password(f->store, id, STR("scrypt$x")));
	assert_ok(store_user_set_active(f->store, id, false));
	assert_int_equal(store_user_set_active(f->store, id + 1, false), ERR_NOT_FOUND);
	commit(f);
	assert_ok(store_user_by_name(f->store, STR("staff"), &f->arena, &user));
	assert_int_equal(user.id, id);
	assert_true(user.is_staff);
	assert_false(user.is_active);
	assert_true(str_equal(user.email, STR("e@x.org")));
	assert_true(str_equal(user.password_hash, STR("scrypt$x")));
	assert_int_equal(user.groups_n, 1);
	assert_int_equal(user.groups[0], group);
	assert_int_equal(store_user_by_name(f->store, STR("Staff"), &f->arena, &user), ERR_NOT_FOUND);
	assert_int_equal(store_user_get(f->store, id + 1, &f->arena, &user), ERR_NOT_FOUND);
	add_user(f, "b");
	add_user(f, "c");
	assert_ok(store_user_list(f->store, (struct page){ .limit = UINT64_MAX }, on_user_name, &names));
	assert_string_equal(names.text, "c b staff ");
	names = (struct names){ .stop_after = 1 };
	assert_ok(store_user_list(f->store, (struct page){ .limit = 5, .offset = 1 }, on_user_name, &names));
	assert_string_equal(names.text, "b ");
	names = (struct names){ .text = "" };
	assert_ok(store_user_list(f->store, (struct page){ .limit = 5, .before_id = id + 1 }, on_user_name, &names));
	assert_string_equal(names.text, "staff ");
	names = (struct names){ .text = "" };
	assert_ok(store_group_list(f->store, (struct page){ .limit = 5, .offset = UINT64_MAX }, on_group_name, &names));
	assert_string_equal(names.text, "");
	assert_int_equal(count(f, STORE_USERS), 3);
	assert_int_equal(count(f, STORE_GROUPS), 1);
}

static void tokens_name_their_user(void **state)
{
	struct fixture *f = *state;
	int64_t id = add_user(f, "u"), other = add_user(f, "v");
	uint8_t first[32] = { 1 }, second[32] = { 2 };
	struct user user;
	struct names names = { .text = "" };

	begin(f);
	assert_ok(store_token_insert(f->store, id, first, "11111111", f->now));
	assert_ok(store_token_insert(f->store, id, second, "22222222", f->now));
	assert_int_equal(store_token_insert(f->store, other, second, "22222222", f->now), ERR_CONFLICT);
	commit(f);
	assert_ok(store_user_by_token(f->store, second, &f->arena, &user));
	assert_int_equal(user.id, id);
	assert_ok(store_token_list(f->store, 0, on_prefix, &names));
	assert_string_equal(names.text, "22222222 11111111 ");
	names = (struct names){ .text = "" };
	assert_ok(store_token_list(f->store, other, on_prefix, &names));
	assert_string_equal(names.text, "");
	begin(f);
	assert_ok(store_token_revoke(f->store, 1));
	assert_int_equal(store_token_revoke(f->store, 1), ERR_NOT_FOUND);
	commit(f);
	assert_int_equal(store_user_by_token(f->store, first, &f->arena, &user), ERR_NOT_FOUND);
}

static void a_deleted_user_leaves_schedules(void **state)
{
	struct fixture *f = *state;
	int64_t id = add_user(f, "u");
	uint8_t digest[32] = { 9 };
	struct schedule_definition definition = definition_cron("0 * * * *");
	struct schedule schedule;
	struct webhook hook;
	struct user user;

	begin(f);
	assert_ok(store_token_insert(f->store, id, digest, "99999999", f->now));
	assert_ok(store_webhook_insert(f->store, STR("schedule.added"), STR("http://h.test/"), id, f->now, &f->arena,
				       &hook));
	assert_ok(store_schedule_insert(f->store, &definition, id, f->now, &f->arena, &schedule));
	commit(f);
	assert_int_equal(get(f, &schedule).created_by, id);
	begin(f);
	assert_ok(store_user_delete(f->store, id));
	assert_int_equal(store_user_delete(f->store, id), ERR_NOT_FOUND);
	commit(f);
	assert_int_equal(get(f, &schedule).created_by, 0);
	assert_int_equal(get(f, &schedule).updated_by, 0);
	assert_int_equal(store_user_by_token(f->store, digest, &f->arena, &user), ERR_NOT_FOUND);
	assert_int_equal(count(f, STORE_WEBHOOKS), 0);
	/* The next user is another one, whatever was deleted. */
	assert_int_not_equal(add_user(f, "u"), id);
	assert_int_equal(get(f, &schedule).created_by, 0);
}

static void webhooks_are_kept(void **state)
{
	struct fixture *f = *state;
	struct webhook hook, found;
	struct names names = { .text = "" };

	begin(f);
	assert_ok(store_webhook_insert(f->store, STR("schedule.added"), STR("http://one.test/"), 7, f->now, &f->arena,
				       &hook));
	assert_ok(store_webhook_insert(f->store, STR("other"), STR("http://two.test/"), 7, f->now, &f->arena, &found));
	commit(f);
	f->now.us += SECOND;
	begin(f);
	assert_ok(store_webhook_update(f->store, hook.id, (struct str){ 0 }, STR("http://three.test/"), f->now,
				       &f->arena, &found));
	assert_int_equal(store_webhook_update(f->store, 99, STR("x"), STR("y"), f->now, &f->arena, &found),
			 ERR_NOT_FOUND);
	commit(f);
	assert_ok(store_webhook_get(f->store, hook.id, &f->arena, &found));
	assert_true(str_equal(found.event, STR("schedule.added")));
	assert_true(str_equal(found.target, STR("http://three.test/")));
	assert_int_equal(found.user_id, 7);
	assert_int_equal(found.created_at.us, T0);
	assert_int_equal(found.updated_at.us, T0 + SECOND);
	assert_ok(store_webhook_list(f->store, (struct page){ .limit = 10 }, on_target, &names));
	assert_string_equal(names.text, "http://two.test/ http://three.test/ ");
	begin(f);
	assert_ok(store_webhook_delete(f->store, hook.id));
	assert_int_equal(store_webhook_delete(f->store, hook.id), ERR_NOT_FOUND);
	commit(f);
	assert_int_equal(count(f, STORE_WEBHOOKS), 1);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(users_are_kept), T(tokens_name_their_user),
					    T(a_deleted_user_leaves_schedules), T(webhooks_are_kept) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
