/* SPDX-License-Identifier: BSD-3-Clause */
/* A sum in the last bytes of every page of the database file, so that a page that has changed on the medium is noticed
 * when it is read: SQLite itself has none.
 *
 * Between SQLite and the file of one connection: what is written to the database gets its sum, what is read is held
 * against it, and a page that does not fit is SQLITE_CORRUPT_INDEX: of the codes for damage one that fails the
 * statement and lets its transaction go on. The log has sums of its own. A program that writes database pages without
 * them (the sqlite3 shell, say) leaves a database that shows as damaged. */
#ifndef STORE_PAGE_SUMS_H
#define STORE_PAGE_SUMS_H

#include <sqlite3.h>
#include <stdbool.h>

struct page_sums {
	sqlite3_io_methods methods; /* first: the file's methods lead here */
	const sqlite3_io_methods *below;
	bool is_on;		    /* the file is one that was made with sums */
	sqlite3_int64 damaged_page; /* the last one found, from 1; 0: none */
};

/* After the connection was opened and before it reads; `sums` must outlive it. A database that is empty gets sums. */
int page_sums_begin(struct page_sums *sums, sqlite3 *db);

#endif
