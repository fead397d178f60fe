/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the pool share: pool.c (submit, thread, results), pool_queue.c (whose turn it
 * is), pool_record.c (what is known of programs), pool_process.c (life of a worker, its socket and
 * its clock), pool_feed.c (which worker gets what, and what an answer or an end means).
 *
 * A worker, from here:
 *
 *      down ──a request waits for it──► starting ──greeting──► ready ──┐
 *        ▲                                 │                     │     │ requests, answers
 *        └──────── end of the process ─────┴─────────────────────┴─────┘
 *
 * A program has a home, the worker that its hash names, so that it is compiled once; another one
 * steals what has waited STEAL_US. A request whose worker ended while it was at it is a suspect: it
 * runs once more, as the first and only one of a fresh worker, before anything is held against it.
 */
#ifndef PH_JQ_POOL_INT_H
#define PH_JQ_POOL_INT_H

#include <pthread.h>
#include <sys/types.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "jq/frame.h"

/* Requests that a worker has at a time, their bytes, and how long they are expected to take. */
#define BATCH_MAX 32
#define BATCH_BYTES_MAX ((size_t)256 * 1024)
#define BATCH_EXPECTED_US 5000
/* What a program is expected to take: to compile, and to run until it has been seen. */
#define EXPECTED_COMPILE_US 25000
#define EXPECTED_RUN_US 1000
#define STEAL_US 20000
#define PROGRAM_RECORDS_MAX 8192

struct queue;

struct item {
    struct list_node node;
    struct jq_request request; /* with a reference to the program */
    uint64_t id;
    int64_t submitted_us;
    struct queue *queue; /* of its program's home */
    bool is_taken;       /* from its queue, where its owner is charged for it */
    int64_t charged_us;
    int64_t expected_us; /* of the worker's time, when it was sent */
    bool sends_text;     /* the worker did not know the program after all */
    bool has_text;       /* the program's text went along */
    bool is_suspect;
};

/* The list is not empty. */
static inline struct item *item_take_first(struct list_node *list)
{
    struct list_node *node = list_take_first(list);
    PH_ASSERT(node != NULL);
    return LIST_ELEMENT(node, struct item, node);
}

/* --- pool_queue.c ------------------------------------------------------------------------------
 * Fair queue: whoever has had the least of a worker's time is next (start-time fair queueing). Each
 * owner has a virtual time, which what runs for him moves on.
 */

struct queue {
    struct map shares;   /* by owner */
    struct heap ready;   /* shares with items, by virtual time */
    struct heap resting; /* shares without, whose virtual time is still ahead */
    int64_t now_us;      /* virtual time of the last one taken */
    size_t count;        /* of items */
    size_t taken;        /* of items that were taken and not settled */
};

void queue_init(struct queue *queue);
void queue_done(struct queue *queue); /* must be empty */
void queue_append(struct queue *queue, struct item *item);
void queue_put_back(struct queue *queue, struct item *item); /* in front; undoes queue_take */
/* Whose turn it is, NULL when there is none. */
struct item *queue_first(const struct queue *queue);
/* Takes the first one; its owner is charged what it is expected to take. */
struct item *queue_take(struct queue *queue, int64_t expected_us);
/* Nothing more will come of the item for its owner. No effect on one that is not taken. */
void queue_settle(struct item *item, int64_t actual_us);

/* --- pool_record.c ---------------------------------------------------------------------------- */

struct record {
    uint64_t key;
    uint8_t hash[JQ_HASH_BYTES];
    struct list_node in_use_order;
    struct list_node in_aside; /* by the end of the time, or alone */
    int64_t run_us;            /* moving mean; 0 = not seen yet */
    int64_t aside_until_us;    /* CLOCK_BOOTTIME; 0 = not put aside */
    char aside_words[JQ_WORDS_MAX / 2];
    uint32_t known_to[]; /* by worker: the generation that has the text */
};

struct records {
    struct map by_key;
    struct list_node in_use_order; /* the last used one at the end */
    struct list_node aside;
    size_t aside_count;
    unsigned workers;
    uint8_t hash_key[16];
};

void records_init(struct records *records, unsigned workers);
void records_done(struct records *records);
/* Finds or makes; never NULL. It stays valid until PROGRAM_RECORDS_MAX others were looked up. */
struct record *records_get(struct records *records, const struct jq_program *program);
void records_put_aside(struct records *records, struct record *record, int64_t until_us,
                       const char *words);
/* Lets those go whose time is over. Returns when the next one's is, INT64_MAX for none. */
int64_t records_expire(struct records *records, int64_t now_us);

/* --- pool_process.c --------------------------------------------------------------------------- */

#define PROCESS_READ_BYTES 65536

enum process_state { PROCESS_DOWN, PROCESS_STARTING, PROCESS_READY };

enum process_end {
    END_CLOSED,    /* it closed its socket: a crash, somebody's kill, its own wish */
    END_TIME,      /* the request took more than its processor time */
    END_STUCK,     /* it got no processor time for very long */
    END_NONSENSE,  /* what it sent is no answer */
    END_NO_START,  /* it could not start, or not in time */
    END_NOT_FRESH, /* it is idle and makes room for a fresh one */
    END_STOP       /* the pool stops */
};

struct process {
    unsigned index;
    enum process_state state;
    uint32_t generation;
    pid_t pid;
    int fd;
    struct queue queue; /* requests whose home it is */
    struct list_node suspects;
    struct list_node running; /* sent to it, in order; it works on the first */
    size_t running_count;
    size_t running_bytes;
    int64_t expected_us; /* of all that run */
    struct buf outgoing;
    size_t outgoing_used;
    struct buf incoming;
    int64_t begun_us;           /* boot clock: the first one's begin; STARTING: the start */
    int64_t begun_cpu_us;       /* its processor time then */
    int64_t check_us;           /* when to look at its processor time */
    int64_t cpu_limit_us;       /* its processor time at the last renewal of RLIMIT_CPU */
    size_t answered;            /* requests, since it started */
    bool is_leaving;            /* said that it ends */
    unsigned failures;          /* to start, or ends without reason, in a row */
    int64_t restart_us;         /* not before */
    char trouble[JQ_WORDS_MAX]; /* why it did not start the last time, or "" */
};

struct jq_pool;

/* False with words when there is no process. */
PH_NODISCARD bool process_start(struct jq_pool *pool, struct process *process, int64_t now_us,
                                struct diag *diag);
/* Kills and reaps. Returns the status of waitpid. The lists stay. */
int process_stop(struct process *process);
/* Sends what fits. */
void process_flush(struct process *process);
/* Reads what is there and gives each reply to feed_reply. */
void process_receive(struct jq_pool *pool, struct process *process);
/* The first running request begins now. */
void process_begin(struct jq_pool *pool, struct process *process, int64_t now_us);
/* Ends it when its time is over. */
void process_check_time(struct jq_pool *pool, struct process *process, int64_t now_us);

/* --- pool_feed.c ------------------------------------------------------------------------------ */

/* A request from the inbox finds its queue, or its answer. */
void feed_admit(struct jq_pool *pool, struct item *item, int64_t now_us);
/* Starts what is needed and gives each worker what it can take. */
void feed_all(struct jq_pool *pool, int64_t now_us);
/* False: it is no answer to what was asked. */
PH_NODISCARD bool feed_reply(struct jq_pool *pool, struct process *process,
                             const struct frame_reply *reply);
/* Stops the process and finds out what that means for its requests. */
void feed_end(struct jq_pool *pool, struct process *process, enum process_end end,
              const char *words);
/* Everything that waits for this one is JQ_UNAVAILABLE. */
void feed_refuse_all(struct jq_pool *pool, struct process *process, const char *words);
/* When something has to be done without any event; boot clock. */
int64_t feed_next_us(const struct jq_pool *pool);

/* --- pool.c ----------------------------------------------------------------------------------- */

struct jq_pool {
    struct jq_pool_options options; /* without zeros */
    int wake_fd;
    pthread_t thread;

    /* Under `lock`. */
    pthread_mutex_t lock;
    struct list_node inbox;
    size_t count; /* accepted and not answered */
    size_t bytes;
    bool is_started;
    bool is_stopping;

    /* The thread's own. */
    struct records records;
    struct process *processes; /* options.workers */
    uint64_t last_id;
};

/* Answers and frees; the item must be in no list. */
void pool_finish(struct jq_pool *pool, struct item *item, const struct jq_result *result);
void pool_finish_words(struct jq_pool *pool, struct item *item, enum jq_outcome outcome,
                       const char *words);
void pool_count(struct jq_pool *pool, enum metric metric, int64_t amount);
/* Brings the metric of programs that are put aside up to date. */
void pool_show_aside(struct jq_pool *pool);

#endif
