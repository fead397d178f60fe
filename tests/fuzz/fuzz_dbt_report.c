/* SPDX-License-Identifier: Apache-2.0 */
/* A report of a run: what is taken is kept in one form, which is read back the same. */
#include "fuzz/fuzz.h"
#include "surfaces/dbt/nodes.h"
#include "surfaces/dbt/report.h"

#define ARENA_BYTES ((size_t)8 * 1024 * 1024)

static void write(const struct dbt_report *report, struct buf *text)
{
    struct json_out out;
    buf_init(text, DBT_REPORT_BYTES_MAX);
    json_out_init(&out, text);
    dbt_report_write(&out, report);
    json_out_end_document(&out);
}

static void check_steps(struct slice steps, struct arena *arena)
{
    struct diag diag;
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    PH_ASSERT(scan_document(steps, &type, &diag, NULL) == PH_OK && type == SCAN_ARRAY);
    scan_cursor_init(&cursor, steps);
    while (scan_next_element(&cursor, &type, &value)) {
        struct dbt_step step;
        PH_ASSERT(dbt_step_parse(value, arena, &diag, &step) == PH_OK && step.name.ptr != NULL);
    }
}

/* The same text as what dbt writes of a run's nodes. */
static void check_nodes(struct slice text)
{
    struct diag diag;
    BUF_AUTO struct buf json;
    enum scan_type type;
    buf_init(&json, DBT_REPORT_BYTES_MAX);
    if (dbt_nodes_failed_write(text, &diag, &json) == PH_OK) {
        PH_ASSERT(!json.failed && scan_document(buf_slice(&json), &type, &diag, NULL) == PH_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diag diag = {.error = PH_OK};
    struct dbt_report report;
    struct dbt_report again;
    struct input input;
    ARENA_AUTO struct arena arena;
    BUF_AUTO struct buf steps;
    arena_init(&arena, ARENA_BYTES);
    buf_init(&steps, DBT_STEPS_BYTES_MAX);
    check_nodes(fuzz_text(data, size));
    input_open(&input, fuzz_text(data, size), &arena, &diag);
    if (dbt_report_read(&input, &steps, &report) != PH_OK) {
        PH_ASSERT(diag.text[0] != '\0');
        return 0;
    }
    BUF_AUTO struct buf first;
    BUF_AUTO struct buf second;
    write(&report, &first);
    PH_ASSERT(!first.failed);
    PH_ASSERT(dbt_report_parse(buf_slice(&first), &arena, &diag, &again) == PH_OK);
    write(&again, &second);
    PH_ASSERT(slice_equal(buf_slice(&first), buf_slice(&second)));
    check_steps(buf_slice(&steps), &arena);
    return 0;
}
