/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket. What is taken is written out again and means the same. */
#include "app/care.h"
#include "fuzz/fuzz.h"

static bool is_text(const char *left, const char *right)
{
    return left == right || (left != NULL && right != NULL && strcmp(left, right) == 0);
}

static bool is_same(const struct care_request *left, const struct care_request *right)
{
    if (care_is_of_tokens(left->kind)) {
        return right->kind == left->kind && is_text(left->surface, right->surface) &&
               is_text(left->arguments, right->arguments) && is_text(left->name, right->name) &&
               is_text(left->after, right->after) && left->expires_at_us == right->expires_at_us;
    }
    if (left->kind == CARE_BACKUP) {
        return right->kind == CARE_BACKUP && strcmp(left->path, right->path) == 0 &&
               left->is_forced == right->is_forced;
    }
    return right->kind == CARE_PRUNE && left->older_than_us == right->older_than_us &&
           left->is_dry_run == right->is_dry_run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diag diag = {.error = PH_OK};
    struct care_request request;
    if (care_request_read(fuzz_text(data, size), &diag, &request) != PH_OK) {
        PH_ASSERT(diag.text[0] != '\0');
        return 0;
    }
    PH_ASSERT(request.kind != CARE_BACKUP || request.path[0] == '/');
    PH_ASSERT(request.older_than_us >= 0);
    BUF_AUTO struct buf text;
    buf_init(&text, 8 * CARE_REQUEST_BYTES_MAX);
    care_request_write(&request, &text);
    struct care_request again;
    PH_ASSERT(care_request_read(buf_slice(&text), &diag, &again) == PH_OK);
    PH_ASSERT(is_same(&request, &again));
    care_request_done(&again);
    care_request_done(&request);
    return 0;
}
