/* SPDX-License-Identifier: Apache-2.0 */
/* jq programs that come in requests: none is stored that does not compile. */
#ifndef PH_API_PROGRAM_H
#define PH_API_PROGRAM_H

#include "api/api_int.h"

#define API_PROGRAMS_MAX 2

/* A program of a request and where it stands in it; a text of SLICE_NONE is none. */
struct api_program {
    struct slice text;
    const char *field; /* "body.filter" */
};

/*
 * As api_submit, after each of the programs was compiled by a worker; one that does not is a 422 at
 * its field with the words of jq. No job is run then.
 */
PH_NODISCARD enum ph_error api_submit_with_programs(
    struct api_call *call, struct api_job *job,
    enum ph_error (*run)(struct api_job *job, struct writer_txn *txn, struct diag *diag),
    const struct api_program programs[API_PROGRAMS_MAX], struct diag *diag);

#endif
