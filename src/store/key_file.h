/* SPDX-License-Identifier: BSD-3-Clause */
/* The key that seals endpoint tokens and signing secrets in the database: one line of 64 hexadecimal digits in a file
 * of its own, so that a copy of the database alone betrays nothing. */
#ifndef STORE_KEY_FILE_H
#define STORE_KEY_FILE_H

#include "base/crypto.h"

/* ERR_NOT_FOUND: no such file. ERR_CORRUPT: it is not a key. The texts say what to do. */
enum err key_file_load(const char *path, uint8_t key[SEAL_KEY_BYTES], struct error *error) MUST_CHECK;
/* Draws a key and writes it (mode 0600), on disk when it returns. Refuses to replace a file. */
enum err key_file_make(const char *path, uint8_t key[SEAL_KEY_BYTES], struct error *error) MUST_CHECK;

#endif
