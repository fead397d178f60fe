/* SPDX-License-Identifier: Apache-2.0 */
/*
 * States of a delivery and the allowed moves. Pure; any thread.
 *
 *               ┌──────┐ retry, or put off
 *               ▼      │
 *   (insert) ─► pending ┴─► succeeded ◄─── manual attempt that succeeds
 *               ▲ │                          ▲        ▲
 *               │ ├───────► failed ──────────┘        │
 *               │ └───────► cancelled ────────────────┘
 *               └────────── any of the three, when a task replays it
 *
 * `sending` is a view of memory and is never stored.
 */
#ifndef PH_CORE_DELIVERY_STATE_H
#define PH_CORE_DELIVERY_STATE_H

/* Stored in the database: append only, never renumber. */
enum delivery_state {
    DELIVERY_PENDING = 0,
    DELIVERY_SUCCEEDED = 1,
    DELIVERY_FAILED = 2,
    DELIVERY_CANCELLED = 3,
    DELIVERY_STATE_COUNT
};

/* Why a delivery was cancelled, or failed other than by its last attempt. Stored: append only. */
enum delivery_reason {
    DELIVERY_REASON_NONE = 0,
    DELIVERY_REASON_GENERATION = 1, /* the endpoint was disabled or deleted meanwhile */
    DELIVERY_REASON_FILTER = 2,     /* the endpoint's filter said no */
    DELIVERY_REASON_EXPUNGED = 3,   /* the payload is gone */
    DELIVERY_REASON_BREAKER = 4,    /* older than its whole schedule while the breaker was open */
    DELIVERY_REASON_ABORTED = 5,    /* the receiver asked to stop (webhook-delivery, 410) */
    DELIVERY_REASON_REQUESTED = 6,  /* a caller cancelled it */
    DELIVERY_REASON_COUNT
};

#endif
