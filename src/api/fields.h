/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables of the fields that a client may send, and the one reading of such a table: coercions and messages of
 * Django REST framework, all problems at once. Pure: values in, values or problems out.
 *
 * A body is JSON or a form; a form's part is read as a JSON string, a boolean left out as false. */
#ifndef API_FIELDS_H
#define API_FIELDS_H

#include "api/form.h"
#include "base/arena.h"
#include "base/instant.h"
#include "base/json.h"

#define FIELDS_REQUIRED "This field is required."
#define FIELDS_NOT_NULL "This field may not be null."
#define FIELDS_NOT_BLANK "This field may not be blank."
#define FIELDS_NOT_STRING "Not a valid string."

/* A caller's mistakes: (field, message), in the order they were found. `arena` is set by the owner. */
struct problem {
	const char *field;
	struct str message;
	struct problem *next;
};

struct problems {
	struct arena *arena; /* borrowed */
	struct problem *first, *last;
};

/* `message` stays borrowed: a literal, or in the arena. */
void problems_add(struct problems *problems, const char *field, struct str message);
/* "<value><words>": the value may hold any byte. */
void problems_add_about(struct problems *problems, const char *field, struct str value, struct str words);
/* {"field":["message",…],…}: one member a field, in the order of the first message of each. */
void problems_render(const struct problems *problems, struct buf *json);

enum field_kind { FIELD_TEXT, FIELD_INTEGER, FIELD_BOOLEAN, FIELD_DATETIME, FIELD_JSON, FIELD_CHOICE, FIELD_KINDS_N };

enum value_state { VALUE_ABSENT, VALUE_NULL, VALUE_GIVEN };

/* What was read of one field. */
struct value {
	enum value_state state;
	struct str text; /* FIELD_TEXT: trimmed; FIELD_JSON: the JSON text as it was given */
	int64_t integer; /* saturated; FIELD_CHOICE: which of field->choices */
	bool boolean;
	struct wall at;
};

/* One of the words that a field takes, exactly so. */
struct choice {
	const char *name, *label;
};

struct field {
	const char *name;
	const char *alias; /* also taken on input; NULL = none */
	const char *label; /* for OPTIONS */
	enum field_kind kind;
	bool required; /* unless the request is partial */
	bool may_be_null, may_be_blank;
	bool keeps_blanks;	      /* not trimmed */
	bool is_off_without;	      /* a boolean that a form says "false" to by leaving it out */
	unsigned characters_max;      /* code points; 0 = no limit */
	const struct choice *choices; /* of a FIELD_CHOICE: until one without a name */
	const char *not_string;	      /* instead of FIELDS_NOT_STRING */
	bool check_last;	      /* after length and NUL, not before */
	/* Further rules for a given value; adds problems. NULL = none. `rules` is what fields_read got. */
	void (*check)(const void *rules, const struct field *field, const struct value *value,
		      struct problems *problems);
};

/* Where the values come from: one of the two is set. */
struct input {
	const struct json *object; /* a JSON_OBJECT, or NULL */
	const struct form *form;
};

struct fields_request {
	const struct field *fields;
	size_t fields_n;
	const struct input *input;
	bool is_partial; /* PATCH: nothing is required */
	const void *rules;
};

/* Fills values[0 … fields_n - 1]. A value with a problem is VALUE_ABSENT. Values and messages live in problems->arena:
 * nothing of the input is borrowed. */
void fields_read(const struct fields_request *request, struct value *values, struct problems *problems);
/* {"name":{"type":…,"required":…,"read_only":false,"label":…,"max_length":…},…} for OPTIONS. */
void fields_describe(const struct field *fields, size_t n, struct buf *json);

/* Python's str.strip(): Unicode white space on both sides. */
struct str fields_strip(struct str text);
/* str() of a JSON number as Python reads it: "5" stays, "1.50" is 1.5, "1e3" is 1000.0. */
struct str fields_number_text(struct arena *arena, struct str number);

#endif
