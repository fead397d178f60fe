/* SPDX-License-Identifier: Apache-2.0 */
/* How a webhook of dbt wants its deliveries: what is taken is written and read the same again, and
 * the program that comes of it has no text of the client's outside its strings. */
#include "fuzz/fuzz.h"
#include "surfaces/dbt/delivery.h"

#define ARENA_BYTES ((size_t)8 * 1024 * 1024)
#define TEXT_BYTES ((size_t)1024 * 1024)

static void write(const struct dbt_delivery *delivery, struct buf *text)
{
    struct json_out out;
    buf_init(text, TEXT_BYTES);
    json_out_init(&out, text);
    dbt_delivery_write(&out, delivery);
    json_out_end_document(&out);
}

/* Strings are closed, and what stands outside them is ours. */
static void check_program(struct slice program)
{
    static const char ours[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789 .,;|()[]=!$";
    bool is_inside = false;
    for (size_t index = 0; index < program.len; index++) {
        char byte = program.ptr[index];
        if (byte == '"') {
            is_inside = !is_inside;
        } else if (is_inside && byte == '\\') {
            PH_ASSERT(index + 1 < program.len && program.ptr[index + 1] != '(');
            index++;
        } else if (!is_inside) {
            PH_ASSERT(strchr(ours, byte) != NULL);
        }
    }
    PH_ASSERT(!is_inside);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diag diag = {.error = PH_OK};
    struct dbt_delivery delivery;
    struct dbt_delivery again;
    struct input input;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    input_open(&input, fuzz_text(data, size), &arena, &diag);
    if (dbt_delivery_read(&input, &delivery) != PH_OK) {
        PH_ASSERT(diag.text[0] != '\0');
        return 0;
    }
    BUF_AUTO struct buf first;
    BUF_AUTO struct buf second;
    BUF_AUTO struct buf program;
    write(&delivery, &first);
    buf_init(&program, TEXT_BYTES);
    PH_ASSERT(!first.failed);
    PH_ASSERT(dbt_delivery_parse(buf_slice(&first), &arena, &diag, &again) == PH_OK);
    write(&again, &second);
    PH_ASSERT(slice_equal(buf_slice(&first), buf_slice(&second)));
    dbt_delivery_filter(&delivery, SLICE_NONE, &program);
    if (!program.failed) {
        check_program(buf_slice(&program));
    }
    return 0;
}
