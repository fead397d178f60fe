/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: any text is either taken or refused with words that name the file. */
#include "app/option.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options options;
    struct diag diag = {.error = PH_OK};
    options_init(&options);
    enum ph_error error = options_load_yaml(&options, "config.yaml", fuzz_text(data, size), &diag);
    if (error != PH_OK) {
        PH_ASSERT(diag.error == error && strncmp(diag.text, "config.yaml", 11) == 0);
    }
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        PH_ASSERT(option_row((enum option_id)id)->key[0] != '\0');
    }
    options_done(&options);
    return 0;
}
