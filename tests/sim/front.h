/* SPDX-License-Identifier: BSD-3-Clause */
/* Plays http/connection.c and http/exchange.c without sockets: the text of a request goes through the product's own
 * parser to api_handle, and the answer comes back as text.
 *
 * Any number of requests may wait for their answers; each has a connection of its own. */
#ifndef SIM_FRONT_H
#define SIM_FRONT_H

#include "api/api.h"

struct front;

/* `request` as given to front_send; `body` is borrowed for the call. */
typedef void (*on_front_answer)(void *ctx, void *request, unsigned status, struct str body);

struct front *front_new(on_front_answer on_answer, void *ctx);
/* Every request must have got its answer. */
void front_free(struct front *front);
/* The api that answers from now on. */
void front_set_api(struct front *front, struct api *api);
/* Whether answers reach anybody; those of a process that has died do not. */
void front_set_heard(struct front *front, bool is_heard);
/* One whole request, fed in two pieces that meet at `split`. Its answer is heard during the call or later. */
void front_send(struct front *front, struct str text, size_t split, void *request);

#endif
