/* SPDX-License-Identifier: Apache-2.0 */
#include "jq/program.h"

#include <openssl/evp.h>

enum ph_error jq_program_new(struct slice text, const char *field, struct diag *diag,
                             struct jq_program **ret_program)
{
    if (slice_trim(text).len == 0) {
        return diag_set(diag, PH_INVALID, field, "a jq program must not be empty");
    }
    if (text.len > JQ_PROGRAM_BYTES_MAX) {
        return diag_set(diag, PH_INVALID, field, "a jq program may have at most %zu bytes",
                        JQ_PROGRAM_BYTES_MAX);
    }
    if (!slice_is_utf8_text(text)) {
        return diag_set(diag, PH_INVALID, field, "a jq program must be UTF-8 text without NUL");
    }
    struct jq_program *program = ph_calloc(1, sizeof *program);
    atomic_init(&program->references, 1);
    program->text = (struct slice){slice_dup(text), text.len};
    PH_ASSERT(EVP_Digest(text.ptr, text.len, program->hash, NULL, EVP_sha256(), NULL) == 1);
    *ret_program = program;
    return PH_OK;
}

struct jq_program *jq_program_ref(struct jq_program *program)
{
    atomic_fetch_add_explicit(&program->references, 1, memory_order_relaxed);
    return program;
}

void jq_program_unref(struct jq_program *program)
{
    if (program != NULL &&
        atomic_fetch_sub_explicit(&program->references, 1, memory_order_acq_rel) == 1) {
        free((void *)(uintptr_t)program->text.ptr);
        free(program);
    }
}
