/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of lists: limit, iterator, order and time bounds to keyset bounds, and the envelope around
 * the rows (svix-api spec section 3). Pure but for reading the query. Thread: the request's.
 */
#ifndef PH_API_PAGING_H
#define PH_API_PAGING_H

#include "base/json_out.h"
#include "core/id.h"
#include "http/server.h"
#include "store/page.h"

#define PAGING_LIMIT_DEFAULT 50
#define PAGING_LIMIT_MAX 250
#define PAGING_WINDOW_US (INT64_C(90) * 86400 * 1000000)
#define PAGING_FUTURE_US (INT64_C(3600) * 1000000)

/* What a query asks for; the pure functions below judge it. */
struct paging_terms {
    size_t limit;
    int64_t iterator;   /* id, 0 = none */
    bool is_backward;   /* the iterator began with `-` */
    bool is_descending; /* the list's order */
    int64_t before_us;  /* 0 = none */
    int64_t after_us;   /* 0 = none */
};

/* Bounds of a list without time limits. */
void paging_bounds(const struct paging_terms *terms, struct id_page *ret_page);
/* Bounds of a time-limited list, newest first: a window of 90 days back from `before`, the
 * iterator or now; with `after` alone 90 days on from it; nothing later than an hour from now. */
void paging_bounds_timed(const struct paging_terms *terms, int64_t now_us,
                         struct id_page *ret_page);
/* "-" means backward; the rest must be an id of `kind`. */
bool paging_parse_iterator(const struct id_codec *codec, enum id_kind kind, struct slice text,
                           struct paging_terms *terms);

/* `limit`. 422 at query.limit.limit above the maximum, 400 when it is not a number. */
PH_NODISCARD enum ph_error paging_read_limit(struct http_request *request, struct diag *diag,
                                             size_t *ret_limit);
/* limit, iterator, order of a list whose default order is given. */
PH_NODISCARD enum ph_error paging_read(struct http_request *request, const struct id_codec *codec,
                                       enum id_kind kind, bool is_descending, struct diag *diag,
                                       struct id_page *ret_page);
/* limit, iterator, before, after of a message or attempt list. */
PH_NODISCARD enum ph_error paging_read_timed(struct http_request *request,
                                             const struct id_codec *codec, enum id_kind kind,
                                             int64_t now_us, struct diag *diag,
                                             struct id_page *ret_page);

/* Puts rows that were scanned against the list's order into it. */
void paging_arrange(const struct id_page *page, void *rows, size_t row_bytes, size_t count);

/* {"data":[ … ],"iterator":…,"prevIterator":…,"done":…}: write the rows between the two calls. */
void paging_begin_list(struct json_out *out);
/* `first` and `last` name the items at both ends (id texts), SLICE_NONE when there are none. */
void paging_end_list(struct json_out *out, struct slice first, struct slice last, bool is_done);
/* The same from ids, 0 = none. */
void paging_end_id_list(struct json_out *out, const struct id_codec *codec, enum id_kind kind,
                        int64_t first, int64_t last, bool is_done);

/* --- other query parameters ------------------------------------------------------------------ */

/* `true` or `false`; absent gives `fallback`; else 400. */
PH_NODISCARD enum ph_error query_bool(struct http_request *request, const char *name, bool fallback,
                                      struct diag *diag, bool *ret_value);
/* An integer of minimum..maximum (others are 400); absent gives `fallback`. */
PH_NODISCARD enum ph_error query_int(struct http_request *request, const char *name,
                                     int64_t minimum, int64_t maximum, int64_t fallback,
                                     struct diag *diag, int64_t *ret_value);
/* RFC 3339, 0 when absent; else 400. */
PH_NODISCARD enum ph_error query_time(struct http_request *request, const char *name,
                                      struct diag *diag, int64_t *ret_wall_us);
/* All values of an array parameter: `name=a,b`, repeated, `name[]=a`, `name[0]=a`. At most `max`,
 * else 422. Slices into the request; the array is in its arena. */
PH_NODISCARD enum ph_error query_strings(struct http_request *request, const char *name, size_t max,
                                         struct diag *diag, struct slice **ret_values,
                                         size_t *ret_count);

#endif
