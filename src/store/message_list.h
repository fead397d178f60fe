/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as the API lists them. A page examines at most LIST_EXAMINED_MAX rows (engineering rule
 * 32): with a rare filter it may end early with what it has. Read only. Thread: the store's owner.
 */
#ifndef PH_STORE_MESSAGE_LIST_H
#define PH_STORE_MESSAGE_LIST_H

#include "store/message.h"
#include "store/page.h"

#define LIST_EXAMINED_MAX 5000
#define LIST_EVENT_TYPES_MAX 100

/* What a message must have to be in a list; everything absent lets all pass. */
struct message_filter {
    struct slice channel;              /* SLICE_NONE = any */
    struct slice tag;                  /* likewise */
    const struct slice *event_types;   /* one of them */
    size_t event_type_count;           /* 0 = any */
    const struct slice *channels;      /* one of them */
    size_t channel_count;              /* 0 = any */
    const struct message_filter *also; /* a second one that must let it pass, or NULL */
};

bool message_filter_is_empty(const struct message_filter *filter);
/* `channels` and `tags` are the stored JSON texts or SLICE_NONE. */
bool message_filter_fits(const struct message_filter *filter, struct slice event_type,
                         struct slice channels, struct slice tags);

/* What a page holds and how its scan ended. */
struct list_end {
    size_t count;
    bool has_more;            /* another row may follow in the scan's direction */
    int64_t last_examined_id; /* not 0 only when the scan gave up at LIST_EXAMINED_MAX */
    int64_t passed_id;        /* up to it nothing was left out; 0 = the scan met no row */
};

struct message_item {
    struct message_row row;
    struct slice payload; /* SLICE_NONE: not wanted, or gone */
};

struct message_query {
    int64_t application_id;
    struct message_filter filter; /* of pages */
    struct id_page page;          /* of pages */
    bool with_payload;
    int64_t now_us; /* a payload past its time counts as gone, deleted or not */
    /* Oldest first, and only messages before which none can be committed any more (engineering
     * rule 4): who goes on behind the page's end misses nothing. */
    bool is_following;
};

/*
 * A page of an application's messages. `items` has room for page.limit; they come in the scan's
 * direction, texts are copied into `arena`. With payloads a page of large ones ends early.
 */
PH_NODISCARD enum ph_error message_page(struct store *store, const struct message_query *query,
                                        struct arena *arena, struct diag *diag,
                                        struct message_item *items, struct list_end *ret_end);
/* One message. PH_NOT_FOUND "Entity not found". */
PH_NODISCARD enum ph_error message_item_find(struct store *store, const struct message_query *query,
                                             int64_t message_id, struct arena *arena,
                                             struct diag *diag, struct message_item *ret_item);

#endif
