/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a body by a table of fields: one coercion per kind of field, the messages of Django REST framework, every
 * problem of a body in one go.
 *
 * The original's clients rely on what Python made of odd values (1.0 for an integer, " 7 ", "on" for a boolean); those
 * readings are all here and nowhere else. */
#include "api/fields.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "core/timestamp.h"
#include "core/words.h"

enum { INTEGER_TEXT_MAX = 1000, FLOAT_DIGITS_MAX = 17 };

#define NOT_INTEGER "A valid integer is required."
#define NOT_BOOLEAN "Must be a valid boolean."
#define NOT_JSON "Value must be valid JSON."
#define NOT_DATETIME                                                                                                   \
	"Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."

void problems_add(struct problems *problems, const char *field, struct str message)
{
	struct problem *problem = arena_alloc(problems->arena, sizeof *problem);

	*problem = (struct problem){ .field = field, .message = message };
	if (problems->last)
		problems->last->next = problem;
	else
		problems->first = problem;
	problems->last = problem;
}

void problems_add_about(struct problems *problems, const char *field, struct str value, struct str words)
{
	char *text = arena_alloc(problems->arena, value.n + words.n);

	memcpy(text, value.p, value.n);
	memcpy(text + value.n, words.p, words.n);
	problems_add(problems, field, (struct str){ text, value.n + words.n });
}

static bool is_named_before(const struct problems *problems, const struct problem *problem)
{
	for (const struct problem *p = problems->first; p != problem; p = p->next)
		if (strcmp(p->field, problem->field) == 0)
			return true;
	return false;
}

void problems_render(const struct problems *problems, struct buf *json)
{
	buf_add_char(json, '{');
	for (const struct problem *first = problems->first; first; first = first->next) {
		if (is_named_before(problems, first))
			continue;
		json_key(json, first->field);
		buf_add_char(json, '[');
		for (const struct problem *p = first; p; p = p->next) {
			if (strcmp(p->field, first->field) != 0)
				continue;
			if (p != first)
				buf_add_char(json, ',');
			json_add_string(json, p->message);
		}
		buf_add_char(json, ']');
	}
	buf_add_char(json, '}');
}

struct str fields_strip(struct str text)
{
	struct str rest = text;
	struct str word = words_next(&rest);

	if (!word.p)
		return (struct str){ text.p, 0 };

	const char *start = word.p, *end = word.p;

	for (; word.p; word = words_next(&rest))
		end = word.p + word.n;
	return (struct str){ start, (size_t)(end - start) };
}

/* Python's repr() of a float: the fewest digits that read back as the same number, an exponent outside 1e-4 to 1e16. */
static struct str float_text(struct arena *arena, double value)
{
	char shown[48];
	int decimals = 0;

	if (isinf(value))
		return arena_copy(arena, value < 0 ? STR("-inf") : STR("inf"));
	do
		snprintf(shown, sizeof shown, "%.*e", decimals, value);
	while (strtod(shown, NULL) != value && ++decimals < FLOAT_DIGITS_MAX);

	long exponent = strtol(strchr(shown, 'e') + 1, NULL, 10);

	if (exponent >= -4 && exponent < 16)
		return arena_printf(arena, "%.*f", decimals > exponent ? (int)(decimals - exponent) : 1, value);
	return arena_copy(arena, str_from(shown));
}

static bool is_float(struct str number)
{
	return str_find(number, '.') < number.n || str_find(number, 'e') < number.n || str_find(number, 'E') < number.n;
}

static double number_value(struct arena *arena, struct str number)
{
	return strtod(arena_copy(arena, number).p, NULL);
}

struct str fields_number_text(struct arena *arena, struct str number)
{
	if (is_float(number))
		return float_text(arena, number_value(arena, number));
	return str_equal(number, STR("-0")) ? STR("0") : number;
}

/* ---- one coercion per kind: false when a problem was added ---- */

struct reading {
	const struct fields_request *request;
	const struct field *field;
	const struct json *json; /* the value; never NULL, never JSON_NULL */
	struct problems *problems;
};

static bool refuse(const struct reading *reading, const char *message)
{
	problems_add(reading->problems, reading->field->name, str_from(message));
	return false;
}

static void check_further(const struct reading *reading, const struct value *value)
{
	if (reading->field->check)
		reading->field->check(reading->request->rules, reading->field, value, reading->problems);
}

static bool read_text(const struct reading *reading, struct value *value)
{
	const struct field *field = reading->field;
	const struct json *json = reading->json;
	struct problem *last = reading->problems->last;

	if (json->type != JSON_STRING && json->type != JSON_NUMBER)
		return refuse(reading, field->not_string ? field->not_string : FIELDS_NOT_STRING);
	value->text = json->type == JSON_STRING ? json->text : fields_number_text(reading->problems->arena, json->text);
	if (!field->keeps_blanks)
		value->text = fields_strip(value->text);
	if (value->text.n == 0) {
		if (!field->may_be_blank)
			return refuse(reading, FIELDS_NOT_BLANK);
		value->text = STR("");
		return true;
	}
	value->text = arena_copy(reading->problems->arena, value->text);
	if (!field->check_last)
		check_further(reading, value);
	if (field->characters_max && utf8_count(value->text) > field->characters_max)
		problems_add(reading->problems, field->name,
			     arena_printf(reading->problems->arena, "Ensure this field has no more than %u characters.",
					  field->characters_max));
	if (str_find(value->text, '\0') < value->text.n)
		refuse(reading, "Null characters are not allowed.");
	if (field->check_last)
		check_further(reading, value);
	return reading->problems->last == last;
}

/* "5.0" is 5 to the original: a point and zeros at the end do not count. */
static struct str without_zero_fraction(struct str text)
{
	struct str trimmed = fields_strip(text);
	size_t n = trimmed.n;

	while (n > 0 && trimmed.p[n - 1] == '0')
		n--;
	return n > 0 && trimmed.p[n - 1] == '.' ? str_slice(trimmed, 0, n - 1) : trimmed;
}

static bool read_integer(const struct reading *reading, struct value *value)
{
	const struct json *json = reading->json;
	struct str text;

	if (json->type != JSON_STRING && json->type != JSON_NUMBER)
		return refuse(reading, NOT_INTEGER);
	if (json->type == JSON_STRING && utf8_count(json->text) > INTEGER_TEXT_MAX)
		return refuse(reading, "String value too large.");
	text = json->type == JSON_STRING ? json->text : fields_number_text(reading->problems->arena, json->text);
	if (!words_to_integer(fields_strip(without_zero_fraction(text)), &value->integer))
		return refuse(reading, NOT_INTEGER);

	struct problem *last = reading->problems->last;

	check_further(reading, value);
	return reading->problems->last == last;
}

static bool read_boolean(const struct reading *reading, struct value *value)
{
	enum { WORDS_N = 13 };
	static const char *const words[2][WORDS_N] = {
		{ "f", "F", "n", "N", "no", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "0" },
		{ "t", "T", "y", "Y", "yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "1" },
	};
	const struct json *json = reading->json;

	if (json->type == JSON_TRUE || json->type == JSON_FALSE) {
		value->boolean = json->type == JSON_TRUE;
		return true;
	}
	if (json->type == JSON_NUMBER) {
		double number = number_value(reading->problems->arena, json->text);

		value->boolean = number == 1.0;
		return number == 0.0 || number == 1.0 || refuse(reading, NOT_BOOLEAN);
	}
	for (unsigned i = 0; json->type == JSON_STRING && i < 2 * WORDS_N; i++) {
		value->boolean = i >= WORDS_N;
		if (str_equal(json->text, str_from(words[i / WORDS_N][i % WORDS_N])))
			return true;
	}
	return refuse(reading, NOT_BOOLEAN);
}

static bool read_datetime(const struct reading *reading, struct value *value)
{
	if (reading->json->type != JSON_STRING)
		return refuse(reading, NOT_DATETIME);
	switch (timestamp_parse(reading->json->text, &value->at)) {
	case TIMESTAMP_OK:
		return true;
	case TIMESTAMP_OUT_OF_RANGE:
		return refuse(reading, "Datetime value out of range.");
	case TIMESTAMP_MALFORMED:
		break;
	}
	return refuse(reading, NOT_DATETIME);
}

static bool is_json(struct str text)
{
	struct arena scratch = { 0 };
	struct json_problem ignored;
	bool is_valid = json_parse(&scratch, text, &ignored);

	arena_release(&scratch);
	return is_valid;
}

/* The JSON text itself, byte for byte: it is what the endpoint gets. In a form the part's text is JSON text. */
static bool read_json(const struct reading *reading, struct value *value)
{
	struct str raw = reading->json->raw;

	if (!raw.p) {
		raw = reading->json->text;
		if (reading->json->type != JSON_STRING || !is_json(raw))
			return refuse(reading, NOT_JSON);
	}
	value->text = arena_copy(reading->problems->arena, str_trim(raw));
	return true;
}

/* What is not one of the words is shown as Python shows it, lists and objects as they were sent. */
static struct str shown_as(const struct reading *reading)
{
	const struct json *json = reading->json;

	switch (json->type) {
	case JSON_STRING:
		return json->text;
	case JSON_NUMBER:
		return fields_number_text(reading->problems->arena, json->text);
	case JSON_TRUE:
		return STR("True");
	case JSON_FALSE:
		return STR("False");
	default:
		return json->raw;
	}
}

static void refuse_choice(const struct reading *reading, struct str text)
{
	static const char after[] = "\" is not a valid choice.";
	struct buf message;

	buf_init(&message, text.n + sizeof after);
	buf_add_char(&message, '"');
	buf_add(&message, text);
	buf_add(&message, str_from(after));
	assert(!message.failed);
	problems_add(reading->problems, reading->field->name, arena_copy(reading->problems->arena, buf_str(&message)));
	buf_release(&message);
}

static bool read_choice(const struct reading *reading, struct value *value)
{
	const struct choice *choices = reading->field->choices;
	struct str text = shown_as(reading);

	/* A file of a form. */
	if (!text.p)
		return refuse(reading, FIELDS_NOT_STRING);
	if (text.n == 0)
		return refuse(reading, FIELDS_NOT_BLANK);
	for (value->integer = 0; choices[value->integer].name; value->integer++)
		if (reading->json->type == JSON_STRING && str_equal(text, str_from(choices[value->integer].name)))
			return true;
	refuse_choice(reading, text);
	return false;
}

/* ---- where a value comes from ---- */

/* A form's part as the JSON string it stands for; a file is nothing that a field takes. */
static const struct json *part_to_json(struct arena *arena, const struct form_part *part)
{
	struct json *json = arena_alloc(arena, sizeof *json);

	json->type = part->is_file ? JSON_OBJECT : JSON_STRING;
	json->text = part->value;
	return json;
}

static const struct json *find(const struct reading *reading)
{
	const struct input *input = reading->request->input;
	const char *names[2] = { reading->field->name, reading->field->alias };

	for (size_t i = 0; i < 2 && names[i]; i++) {
		if (input->object) {
			const struct json *json = json_member(input->object, str_from(names[i]));

			if (json)
				return json;
		} else {
			const struct form_part *part = form_last(input->form, str_from(names[i]));

			if (part)
				return part_to_json(reading->problems->arena, part);
		}
	}
	return NULL;
}

/* What an empty part of a form means: null where that is allowed, nothing where the field may be left out. */
static enum value_state blank_state(const struct field *field)
{
	if (field->kind == FIELD_JSON || field->may_be_blank)
		return VALUE_GIVEN;
	if (field->may_be_null)
		return VALUE_NULL;
	return field->required ? VALUE_GIVEN : VALUE_ABSENT;
}

static void read_absent(const struct reading *reading, struct value *value)
{
	const struct fields_request *request = reading->request;

	if (request->is_partial)
		return;
	if (request->input->form && reading->field->is_off_without)
		value->state = VALUE_GIVEN;
	else if (reading->field->required)
		refuse(reading, FIELDS_REQUIRED);
}

static void read_field(struct reading *reading, struct value *value)
{
	static bool (*const coerce[FIELD_KINDS_N])(const struct reading *, struct value *) = {
		[FIELD_TEXT] = read_text,	  [FIELD_INTEGER] = read_integer, [FIELD_BOOLEAN] = read_boolean,
		[FIELD_DATETIME] = read_datetime, [FIELD_JSON] = read_json,	  [FIELD_CHOICE] = read_choice,
	};

	*value = (struct value){ .state = VALUE_ABSENT };
	reading->json = find(reading);
	if (!reading->json) {
		read_absent(reading, value);
		return;
	}
	if (reading->request->input->form && reading->json->type == JSON_STRING && reading->json->text.n == 0) {
		value->state = blank_state(reading->field);
		if (value->state != VALUE_GIVEN)
			return;
	}
	if (reading->json->type == JSON_NULL && reading->field->kind != FIELD_JSON) {
		if (reading->field->may_be_null)
			value->state = VALUE_NULL;
		else
			refuse(reading, FIELDS_NOT_NULL);
		return;
	}
	value->state = coerce[reading->field->kind](reading, value) ? VALUE_GIVEN : VALUE_ABSENT;
}

void fields_read(const struct fields_request *request, struct value *values, struct problems *problems)
{
	assert(!request->input->object != !request->input->form);
	for (size_t i = 0; i < request->fields_n; i++) {
		struct reading reading = { .request = request, .field = &request->fields[i], .problems = problems };

		read_field(&reading, &values[i]);
	}
}

static void describe_choices(const struct choice *choices, struct buf *json)
{
	buf_add(json, STR(",\"choices\":["));
	for (const struct choice *choice = choices; choice->name; choice++)
		buf_printf(json, "%s{\"value\":\"%s\",\"display_name\":\"%s\"}", choice == choices ? "" : ",",
			   choice->name, choice->label);
	buf_add_char(json, ']');
}

void fields_describe(const struct field *fields, size_t n, struct buf *json)
{
	static const char *const types[FIELD_KINDS_N] = {
		[FIELD_TEXT] = "string",       [FIELD_INTEGER] = "integer", [FIELD_BOOLEAN] = "boolean",
		[FIELD_DATETIME] = "datetime", [FIELD_JSON] = "field",	    [FIELD_CHOICE] = "choice",
	};

	buf_add_char(json, '{');
	for (size_t i = 0; i < n; i++) {
		json_key(json, fields[i].name);
		buf_printf(json, "{\"type\":\"%s\",\"required\":%s,\"read_only\":false,\"label\":\"%s\"",
			   types[fields[i].kind], fields[i].required ? "true" : "false", fields[i].label);
		if (fields[i].characters_max)
			buf_printf(json, ",\"max_length\":%u", fields[i].characters_max);
		if (fields[i].choices)
			describe_choices(fields[i].choices, json);
		buf_add_char(json, '}');
	}
	buf_add_char(json, '}');
}
