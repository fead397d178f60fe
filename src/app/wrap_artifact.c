/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_artifact.h"

#include "base/clock.h"

/* A larger run_results.json is uploaded, but not read. */
#define RESULTS_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define DROPPED_BYTES_MAX 4096
/* Files of the run itself, in the folder's accounts. */
#define RUN_BYTES 16384
/* Between our clock and what dbt has written, which rounds. */
#define ROUNDING_US CLOCK_US_PER_S

/* The most important first: they are kept when there is not enough room. */
static const char *const names[WRAP_ARTIFACT_COUNT] = {
    "run_results.json", "manifest.json", "sources.json", "catalog.json", "semantic_manifest.json",
};

void wrap_artifacts_note(struct wrap_artifacts *artifacts, const struct wrap_project *project)
{
    artifacts->are_old_results = false;
    for (size_t index = 0; index < WRAP_ARTIFACT_COUNT; index++) {
        artifacts->paths[index] = file_join(project->target_folder, names[index]);
        artifacts->before[index] = file_stamp(artifacts->paths[index]);
    }
}

void wrap_artifacts_done(struct wrap_artifacts *artifacts)
{
    for (size_t index = 0; index < WRAP_ARTIFACT_COUNT; index++) {
        free(artifacts->paths[index]);
    }
}

/* Its bytes; -1 when this run has not written it. */
static int64_t new_bytes(const struct wrap_artifacts *artifacts, size_t index)
{
    const struct file_stamp none = {0};
    struct file_stamp now = file_stamp(artifacts->paths[index]);
    bool is_new = !file_stamp_equal(&now, &artifacts->before[index]) &&
                  !file_stamp_equal(&now, &none) && !(index == 0 && artifacts->are_old_results);
    return is_new ? now.size_bytes : -1;
}

bool wrap_artifacts_read(struct wrap_artifacts *artifacts, int64_t started_at_us,
                         struct wrap_result *result)
{
    BUF_AUTO struct buf text;
    buf_init(&text, RESULTS_BYTES_MAX);
    struct diag diag;
    if (new_bytes(artifacts, 0) < 0 ||
        file_read_plain(artifacts->paths[0], &text, &diag) != PH_OK ||
        wrap_result_read(result, buf_slice(&text), &diag) != PH_OK) {
        return false;
    }
    artifacts->are_old_results =
        result->generated_at_us != 0 && result->generated_at_us + ROUNDING_US < started_at_us;
    return !artifacts->are_old_results;
}

void wrap_artifacts_attach(const struct wrap_artifacts *artifacts, const struct wrap_spool *spool,
                           const struct wrap_run *run, struct buf *words)
{
    BUF_AUTO struct buf dropped;
    buf_init(&dropped, DROPPED_BYTES_MAX);
    int64_t needed_bytes = RUN_BYTES;
    for (size_t index = 0; index < WRAP_ARTIFACT_COUNT; index++) {
        int64_t bytes = new_bytes(artifacts, index);
        needed_bytes += bytes > 0 ? bytes : 0;
    }
    int64_t room_bytes = wrap_spool_trim(spool, run, needed_bytes, &dropped);
    if (dropped.len > 0) {
        buf_append_format(words, "the spool %s is full: dropped the oldest in it, %s\n",
                          spool->path, buf_text(&dropped));
    }
    for (size_t index = 0; index < WRAP_ARTIFACT_COUNT; index++) {
        struct diag diag = {0};
        int64_t bytes = new_bytes(artifacts, index);
        if (bytes > room_bytes) {
            buf_append_format(words, "%s is not reported: the spool has no room for it\n",
                              names[index]);
        } else if (bytes >= 0 &&
                   wrap_run_attach(run, names[index], artifacts->paths[index], &diag) != PH_OK) {
            buf_append_format(words, "%s is not reported: %s\n", names[index], diag.text);
        } else if (bytes >= 0) {
            room_bytes -= bytes;
        }
    }
}
