/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_TALLY_H
#define PH_BENCH_TALLY_H

#include "histogram.h"
#include "http.h"
#include "idset.h"
#include "signature.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What one receiver thread has counted.
 *
 * Concurrency: only the owner thread changes it; any thread may read it for /stats. A reset raises
 * the receiver's generation; each thread clears its own tally when it next counts, and a tally of
 * an older generation reads as empty. So a reset is exact when no deliveries are under way.
 */
struct tally {
    _Atomic uint64_t generation;
    _Atomic uint64_t received;
    _Atomic uint64_t distinct;
    _Atomic uint64_t without_id;
    _Atomic uint64_t hung;
    _Atomic uint64_t bad_signatures;
    _Atomic int64_t first_us; /* CLOCK_MONOTONIC; 0 = none yet */
    _Atomic int64_t last_us;
    struct histogram latency;
};

/* Counts one delivery. `verifier` may be NULL: signatures are not looked at. */
void tally_delivery(struct tally *tally, uint64_t generation, struct idset *seen,
                    struct signature_verifier *verifier, const struct http_message *message);

/* Counts a delivery that will never be answered. */
void tally_hung(struct tally *tally, uint64_t generation);

/* Writes the sum of `tallies` of this generation and the time of the first delivery since the gate
   was opened (0 = none) as one line of JSON; returns its length, which is below `text_bytes`. */
size_t tally_report(const struct tally *tallies, size_t count, uint64_t generation,
                    int64_t gate_first_us, char *text, size_t text_bytes);

#endif
