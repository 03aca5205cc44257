/* SPDX-License-Identifier: BSD-3-Clause */
/* The account verbs in one table: words in, lines out. Passwords arrive here as hashes only. */
#include "cli/accounts.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "core/timestamp.h"

struct call {
	struct store *store;
	struct arena arena;
	struct wall now;
	const struct account_command *command;
	struct account_answer *answer;
};

static struct str word(const struct call *call, unsigned index)
{
	return index < call->command->words_n ? call->command->words[index] : (struct str){ "", 0 };
}

static enum err refuse(struct call *call, const char *what, struct str name, const char *remedy)
{
	buf_printf(&call->answer->text, "%s '%.*s'; %s\n", what, STR_ARG(name), remedy);
	call->answer->exit_code = 1;
	return ERR_OK;
}

/* Finds a user by name or says that there is none. True: *user is filled. */
static bool find_user(struct call *call, struct str name, struct user *user, enum err *err)
{
	*err = store_user_by_name(call->store, name, &call->arena, user);
	if (*err == ERR_NOT_FOUND)
		*err = refuse(call, "there is no user", name, "'user list' shows them");
	else if (*err == ERR_OK)
		return true;
	return false;
}

static enum err user_create(struct call *call)
{
	struct user user = {
		.username = word(call, 2), .email = word(call, 3), .is_staff = word(call, 4).n > 0, .is_active = true
	};
	int64_t id;

	if (word(call, 5).n)
		user.password_hash = word(call, 5);
	enum err err = store_user_insert(call->store, &user, call->now, &id);

	if (err == ERR_CONFLICT)
		return refuse(call, "there is already a user", user.username, "choose another name");
	return err;
}

static bool on_user_line(void *ctx, const struct user *user)
{
	struct call *call = ctx;

	buf_printf(&call->answer->out, "%lld\t%.*s\t%.*s\t%s\t%s\n", (long long)user->id, STR_ARG(user->username),
		   STR_ARG(user->email), user->is_staff ? "admin" : "-", user->is_active ? "active" : "disabled");
	return true;
}

static enum err user_list(struct call *call)
{
	return store_user_list(call->store, (struct page){ .limit = UINT64_MAX }, on_user_line, call);
}

static enum err user_set_active(struct call *call, bool is_active)
{
	struct user user;
	enum err err;

	return find_user(call, word(call, 2), &user, &err) ? store_user_set_active(call->store, user.id, is_active)
							   : err;
}

static enum err user_disable(struct call *call)
{
	return user_set_active(call, false);
}

static enum err user_enable(struct call *call)
{
	return user_set_active(call, true);
}

static enum err user_delete(struct call *call)
{
	struct user user;
	enum err err;

	return find_user(call, word(call, 2), &user, &err) ? store_user_delete(call->store, user.id) : err;
}

static enum err user_passwd(struct call *call)
{
	struct user user;
	enum err err;

	return find_user(call, word(call, 2), &user, &err)
		       ? store_user_set_password(call->store, user.id, word(call, 3))
		       : err;
}

static enum err group_create(struct call *call)
{
	int64_t id;
	enum err err = store_group_insert(call->store, word(call, 2), &id);

	return err == ERR_CONFLICT ? refuse(call, "there is already a group", word(call, 2), "choose another name")
				   : err;
}

static enum err group_add(struct call *call)
{
	struct group group;
	struct user user;
	enum err err = store_group_by_name(call->store, word(call, 2), &call->arena, &group);

	if (err == ERR_NOT_FOUND)
		return refuse(call, "there is no group", word(call, 2), "'group list' shows them");
	if (err || !find_user(call, word(call, 3), &user, &err))
		return err;
	return store_group_add(call->store, group.id, user.id);
}

static bool on_group_line(void *ctx, const struct group *group)
{
	struct call *call = ctx;

	buf_printf(&call->answer->out, "%lld\t%.*s\n", (long long)group->id, STR_ARG(group->name));
	return true;
}

static enum err group_list(struct call *call)
{
	return store_group_list(call->store, (struct page){ .limit = UINT64_MAX }, on_group_line, call);
}

static enum err token_create(struct call *call)
{
	uint8_t digest[DIGEST_BYTES];
	char digits[TOKEN_DIGITS];
	struct user user;
	enum err err;

	if (!find_user(call, word(call, 2), &user, &err))
		return err;
	token_mint(digits, digest);
	err = store_token_insert(call->store, user.id, digest, digits, call->now);
	if (err == ERR_OK) {
		buf_add(&call->answer->out, (struct str){ digits, sizeof digits });
		buf_add_char(&call->answer->out, '\n');
	}
	crypto_wipe(digits, sizeof digits);
	return err;
}

static bool on_token_line(void *ctx, const struct token *token)
{
	struct call *call = ctx;

	buf_printf(&call->answer->out, "%lld\t%.*s…\t%lld\t", (long long)token->id, TOKEN_PREFIX_DIGITS, token->prefix,
		   (long long)token->user_id);
	timestamp_add(&call->answer->out, token->created_at);
	buf_add_char(&call->answer->out, '\n');
	return true;
}

static enum err token_list(struct call *call)
{
	struct user user = { 0 };
	enum err err;

	if (word(call, 2).n && !find_user(call, word(call, 2), &user, &err))
		return err;
	return store_token_list(call->store, user.id, on_token_line, call);
}

struct token_search {
	struct str prefix;
	int64_t id;
	unsigned found;
};

static bool on_token_prefix(void *ctx, const struct token *token)
{
	struct token_search *search = ctx;

	if (str_starts_with((struct str){ token->prefix, TOKEN_PREFIX_DIGITS }, search->prefix)) {
		search->id = token->id;
		search->found++;
	}
	return true;
}

/* Takes an id of `token list`, the token itself, or its first eight digits. */
static enum err token_revoke(struct call *call)
{
	struct str text = word(call, 2);
	struct token_search search = { .prefix = str_slice(text, 0, TOKEN_PREFIX_DIGITS) };
	enum err err;

	if (text.n >= TOKEN_PREFIX_DIGITS) {
		err = store_token_list(call->store, 0, on_token_prefix, &search);
		if (err)
			return err;
		if (search.found > 1)
			return refuse(call, "several tokens begin with", search.prefix,
				      "give the id that 'token list' shows");
	}
	if (!search.found && !str_to_i64(text, &search.id))
		return refuse(call, "there is no token", search.prefix, "'token list' shows them");
	err = store_token_revoke(call->store, search.id);
	return err == ERR_NOT_FOUND ? refuse(call, "there is no token", search.prefix, "'token list' shows them") : err;
}

static const struct verb {
	const char *noun, *verb;
	enum err (*run)(struct call *call);
} verbs[] = {
	{ "user", "create", user_create },					  /* name email admin? hash? */
	{ "user", "list", user_list },	     { "user", "disable", user_disable }, /* name */
	{ "user", "enable", user_enable },					  /* name */
	{ "user", "delete", user_delete },					  /* name */
	{ "user", "passwd", user_passwd },					  /* name hash */
	{ "group", "create", group_create },					  /* name */
	{ "group", "add", group_add },						  /* name user */
	{ "group", "list", group_list },     { "token", "create", token_create }, /* user */
	{ "token", "list", token_list },					  /* user? */
	{ "token", "revoke", token_revoke },					  /* id or first digits */
};

void account_answer_init(struct account_answer *answer)
{
	*answer = (struct account_answer){ 0 };
	buf_init(&answer->out, ACCOUNT_ANSWER_BYTES_MAX);
	buf_init(&answer->text, 4096);
}

void account_answer_release(struct account_answer *answer)
{
	if (answer->out.p)
		crypto_wipe(answer->out.p, answer->out.n);
	buf_release(&answer->out);
	buf_release(&answer->text);
}

enum err account_run(struct store *store, const struct account_command *command, struct wall now,
		     struct account_answer *answer)
{
	struct call call = { .store = store, .now = now, .command = command, .answer = answer };
	enum err err = ERR_INVALID;

	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (!str_equal(word(&call, 0), str_from(verbs[i].noun)) ||
		    !str_equal(word(&call, 1), str_from(verbs[i].verb)))
			continue;
		err = verbs[i].run(&call);
		break;
	}
	arena_release(&call.arena);
	return err;
}
