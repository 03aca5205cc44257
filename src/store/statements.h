/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of the SQL statements; their texts stand in statements.def, every one of them once. */
#ifndef STORE_STATEMENTS_H
#define STORE_STATEMENTS_H

enum statement {
#define SQL(id, text) SQL_##id,
#include "store/statements.def"
#undef SQL
	SQL_N
};

#endif
