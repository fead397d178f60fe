/* SPDX-License-Identifier: Apache-2.0 */
/* The pool when workers are killed, do not start, talk nonsense; its limits, its order, its end. */
#include "unit/jq_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jq/pool.h"

#define INPUT "{\"type\":\"user.created\",\"data\":{\"n\":3}}"

/* Loops without allocating. */
#define LOOP "def f: f; f"

static void check_well(struct rig *rig)
{
    struct call call = rig_run(rig, JQ_FILTER, ".data.n == 3", INPUT);
    assert_string_equal(call.words, "");
    assert_int_equal(call.outcome, JQ_OK);
}

/* The worker processes of this one; how many. */
static size_t find_workers(pid_t *ret_pids, size_t capacity)
{
    size_t count = 0;
    DIR *directory = opendir("/proc");
    assert_non_null(directory);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL && count < capacity) {
        char path[300];
        char text[512] = "";
        int64_t pid = 0;
        if (!slice_to_int64(slice_of(entry->d_name), &pid)) {
            continue;
        }
        (void)snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, text, sizeof text - 1) > 0) {
            /* "PID (name) S PPID …" */
            const char *end = strrchr(text, ')');
            char state = 'X';
            int parent = 0;
            if (end != NULL && sscanf(end + 1, " %c %d", &state, &parent) == 2 &&
                parent == getpid() && state != 'Z') {
                ret_pids[count++] = (pid_t)pid;
            }
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    closedir(directory);
    return count;
}

static size_t kill_workers(void)
{
    pid_t pids[8];
    size_t count = find_workers(pids, PH_ARRAY_LENGTH(pids));
    for (size_t index = 0; index < count; index++) {
        (void)kill(pids[index], SIGKILL);
    }
    return count;
}

#define MANY 3000

static void test_killed_workers_lose_nothing(void **state)
{
    (void)state;
    struct rig rig;
    static struct call calls[MANY];
    size_t kills = 0;
    size_t unavailable = 0;
    rig_start(&rig, (struct jq_pool_options){.workers = 2});
    for (size_t index = 0; index < MANY; index++) {
        char program[64];
        (void)snprintf(program, sizeof program, "[range(200)] | length > %zu", index % 6);
        assert_int_equal(rig_submit(&rig, JQ_FILTER, program, INPUT, index % 5, &calls[index]),
                         PH_OK);
    }
    for (size_t answered = 50; answered < MANY; answered += 300) {
        rig_wait(&rig, answered);
        kills += kill_workers();
    }
    rig_wait(&rig, MANY);
    assert_in_range(kills, 5, 1000);
    for (size_t index = 0; index < MANY; index++) {
        assert_int_equal(calls[index].answers, 1);
        unavailable += calls[index].outcome == JQ_UNAVAILABLE;
        assert_true(calls[index].outcome == JQ_OK || calls[index].outcome == JQ_UNAVAILABLE);
    }
    /* It takes two kills at the same request. */
    assert_in_range(unavailable, 0, kills / 2);
    rig_end(&rig);
}

static void test_a_worker_killed_while_idle_comes_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1});
    check_well(&rig);
    assert_int_equal(kill_workers(), 1);
    check_well(&rig);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_WORKERS_ENDED), 1);
    rig_end(&rig);
}

/* --- time ---------------------------------------------------------------------------------------
 */

static pid_t only_worker(void)
{
    pid_t pid = 0;
    assert_int_equal(find_workers(&pid, 1), 1);
    return pid;
}

static void test_a_paused_worker_is_not_the_programs_fault(void **state)
{
    (void)state;
    struct rig rig;
    struct rig other;
    struct call paused;
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .timeout_us = 100000});
    check_well(&rig);
    pid_t worker = only_worker();
    assert_int_equal(kill(worker, SIGSTOP), 0);
    assert_int_equal(rig_submit(&rig, JQ_FILTER, "true", INPUT, 1, &paused), PH_OK);
    /* In another pool the same time is over now. */
    rig_start(&other, (struct jq_pool_options){.workers = 1, .timeout_us = 200000});
    struct call call = rig_run(&other, JQ_FILTER, LOOP, INPUT);
    assert_int_equal(call.outcome, JQ_LIMIT);
    rig_end(&other);
    assert_int_equal(kill(worker, SIGCONT), 0);
    rig_wait(&rig, 2);
    assert_int_equal(paused.outcome, JQ_OK);
    assert_true(paused.duration_us >= 200000);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_WORKERS_ENDED), 0);
    rig_end(&rig);
}

static void test_a_worker_that_stays_paused_is_replaced(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .timeout_us = 100000});
    check_well(&rig);
    assert_int_equal(kill(only_worker(), SIGSTOP), 0);
    check_well(&rig);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_WORKERS_ENDED), 1);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_PUT_ASIDE), 0);
    rig_end(&rig);
}

struct holder {
    struct rig *rig;
    pid_t worker;
};

/* Holds the pool's thread up while the worker goes on with what it has. */
static void hold(void *context, const struct jq_result *result)
{
    struct holder *holder = context;
    int64_t begun_us = clock_boot_us();
    int64_t first_us = 0;
    int64_t now_us = 0;
    (void)result;
    (void)clock_process_us(holder->worker, &first_us);
    while (clock_process_us(holder->worker, &now_us) && now_us - first_us < 600000 &&
           clock_boot_us() - begun_us < 3000000) {
        (void)poll(NULL, 0, 5);
    }
    pthread_mutex_lock(&holder->rig->mutex);
    holder->rig->answered++;
    pthread_cond_broadcast(&holder->rig->changed);
    pthread_mutex_unlock(&holder->rig->mutex);
}

/* A program that this one of two workers is the home of. */
static struct jq_program *program_at_home(const char *text, unsigned home)
{
    struct diag diag;
    struct jq_program *program = NULL;
    for (unsigned variant = 0; program == NULL; variant++) {
        char whole[128];
        uint32_t number;
        (void)snprintf(whole, sizeof whole, "%s # %u", text, variant);
        assert_int_equal(jq_program_new(slice_of(whole), "x", &diag, &program), PH_OK);
        memcpy(&number, program->hash, sizeof number);
        if (number % 2 != home) {
            jq_program_unref(program);
            program = NULL;
        }
    }
    return program;
}

static void submit_program(struct rig *rig, struct jq_program *program, const char *input,
                           jq_done_function *done, void *context)
{
    struct diag diag;
    const struct jq_request request = {.program = program,
                                       .kind = JQ_FILTER,
                                       .owner = 1,
                                       .input = ph_strdup(input),
                                       .input_len = strlen(input),
                                       .done = done,
                                       .context = context};
    assert_int_equal(jq_pool_submit(rig->pool, &request, &diag), PH_OK);
}

static void test_time_of_others_is_not_held_against_a_program(void **state)
{
    (void)state;
    struct rig rig;
    struct call calls[24];
    struct call warm_up = {.rig = &rig};
    struct jq_program *sized = program_at_home("[range(.)] | length >= 0", 0);
    struct jq_program *other = program_at_home("true", 1);
    rig_start(&rig, (struct jq_pool_options){.workers = 2, .timeout_us = 300000});
    /* It is known as a quick one, so that several are sent at a time. */
    size_t answered = 0;
    for (; answered < 20; answered++) {
        submit_program(&rig, sized, "1", call_done, &warm_up);
        rig_wait(&rig, answered + 1);
    }
    struct holder holder = {&rig, only_worker()};
    submit_program(&rig, other, "1", call_done, &warm_up);
    rig_wait(&rig, ++answered);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(calls); index++) {
        calls[index] = (struct call){.rig = &rig};
        submit_program(&rig, sized, "200000", call_done, &calls[index]);
    }
    submit_program(&rig, other, "1", hold, &holder);
    rig_wait(&rig, answered + PH_ARRAY_LENGTH(calls) + 1);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(calls); index++) {
        assert_string_equal(calls[index].words, "");
        assert_int_equal(calls[index].outcome, JQ_OK);
    }
    jq_program_unref(sized);
    jq_program_unref(other);
    rig_end(&rig);
}

/* Seconds of processor time that the worker may use in all, as the kernel knows it. */
static int processor_limit_s(pid_t pid)
{
    char path[64];
    char text[4096] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/limits", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    const char *line = strstr(text, "Max cpu time");
    int seconds = 0;
    assert_non_null(line);
    assert_int_equal(sscanf(line, "Max cpu time %d", &seconds), 1);
    return seconds;
}

static void test_the_processor_limit_moves_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .timeout_us = 5000000});
    check_well(&rig);
    pid_t worker = only_worker();
    assert_int_equal(processor_limit_s(worker), 15);
    while (processor_limit_s(worker) < 16) {
        struct call call = rig_run(&rig, JQ_FILTER, "[range(300000)] | length > 1", INPUT);
        assert_int_equal(call.outcome, JQ_OK);
    }
    rig_end(&rig);
}

/* Runs a program that loops in a process of its own, and tells the worker's id. */
static void loop_in_child(int pipe_fd)
{
    struct rig rig;
    struct call call;
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .timeout_us = 5000000});
    check_well(&rig);
    pid_t worker = only_worker();
    assert_int_equal(rig_submit(&rig, JQ_FILTER, LOOP, INPUT, 1, &call), PH_OK);
    assert_int_equal(write(pipe_fd, &worker, sizeof worker), sizeof worker);
    rig_wait(&rig, 100);
}

static void test_workers_do_not_outlive_the_server(void **state)
{
    (void)state;
    int ends[2];
    pid_t worker = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        loop_in_child(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &worker, sizeof worker), sizeof worker);
    close(ends[0]);
    int pid_fd = pidfd_open(worker, 0);
    assert_true(pid_fd >= 0);
    assert_int_equal(kill(server, SIGKILL), 0);
    struct pollfd ended = {.fd = pid_fd, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, 4000), 1);
    close(pid_fd);
    int status = 0;
    assert_int_equal(waitpid(server, &status, 0), server);
}

/* --- limits of the pool -------------------------------------------------------------------------
 */

static void test_a_full_queue_refuses(void **state)
{
    (void)state;
    struct rig rig;
    struct call calls[6];
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .queue_max = 4});
    for (size_t index = 0; index < 4; index++) {
        assert_int_equal(rig_submit(&rig, JQ_FILTER, LOOP, INPUT, 1, &calls[index]), PH_OK);
    }
    assert_int_equal(rig_submit(&rig, JQ_FILTER, "true", INPUT, 1, &calls[4]), PH_BUSY);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_QUEUE), 4);
    rig_wait(&rig, 4);
    assert_int_equal(calls[4].answers, 0);
    check_well(&rig);
    rig_end(&rig);

    rig_start(&rig, (struct jq_pool_options){.workers = 1, .queue_bytes_max = 100});
    assert_int_equal(rig_submit(&rig, JQ_FILTER, LOOP, INPUT, 1, &calls[0]), PH_OK);
    assert_int_equal(rig_submit(&rig, JQ_FILTER, LOOP, INPUT, 1, &calls[1]), PH_OK);
    assert_int_equal(rig_submit(&rig, JQ_FILTER, LOOP, INPUT, 1, &calls[2]), PH_BUSY);
    rig_wait(&rig, 2);
    rig_end(&rig);
}

static void test_a_program_is_put_aside_and_returns(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig,
              (struct jq_pool_options){.workers = 1, .timeout_us = 50000, .aside_us = 1000000});
    int64_t before_us = clock_boot_us();
    struct call call = rig_run(&rig, JQ_FILTER, LOOP, INPUT);
    assert_int_equal(call.outcome, JQ_LIMIT);
    assert_true(call.duration_us > 0);
    call = rig_run(&rig, JQ_FILTER, LOOP, INPUT);
    assert_int_equal(call.outcome, JQ_LIMIT);
    assert_non_null(strstr(call.words, "it is put aside until 20"));
    assert_non_null(strstr(call.words, "because it took more than 0.05 s"));
    assert_int_equal(call.duration_us, 0);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_ASIDE), 1);
    /* Only that program. */
    check_well(&rig);
    /* It is asked for until it is run again. */
    while (call.duration_us == 0) {
        call = rig_run(&rig, JQ_FILTER, LOOP, INPUT);
    }
    assert_true(clock_boot_us() - before_us >= 1000000);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_PUT_ASIDE), 2);
    rig_end(&rig);
}

static void test_nobody_waits_for_ever(void **state)
{
    (void)state;
    struct rig rig;
    struct call calls[3];
    rig_start(&rig,
              (struct jq_pool_options){.workers = 1, .timeout_us = 300000, .wait_us_max = 100000});
    /* Until the worker has started, which may take longer than that. */
    struct call call = rig_run(&rig, JQ_FILTER, "true", INPUT);
    while (call.outcome == JQ_UNAVAILABLE) {
        call = rig_run(&rig, JQ_FILTER, "true", INPUT);
    }
    size_t before = rig.answered;
    assert_int_equal(rig_submit(&rig, JQ_FILTER, LOOP, INPUT, 1, &calls[0]), PH_OK);
    assert_int_equal(rig_submit(&rig, JQ_FILTER, "true", INPUT, 1, &calls[1]), PH_OK);
    assert_int_equal(rig_submit(&rig, JQ_FILTER, "true", INPUT, 2, &calls[2]), PH_OK);
    rig_wait(&rig, before + 3);
    assert_int_equal(calls[0].outcome, JQ_LIMIT);
    for (size_t index = 1; index < 3; index++) {
        assert_int_equal(calls[index].outcome, JQ_UNAVAILABLE);
        assert_string_equal(calls[index].words, "it waited too long for a jq worker");
    }
    rig_end(&rig);
}

static void test_large_inputs(void **state)
{
    (void)state;
    static const size_t sizes[] = {100000, 300000, 3000000, JQ_INPUT_BYTES_MAX};
    struct rig rig;
    struct call calls[PH_ARRAY_LENGTH(sizes)];
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .timeout_us = 5000000});
    char *text = ph_malloc(JQ_INPUT_BYTES_MAX + 2);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(sizes); index++) {
        memset(text, 'x', sizes[index]);
        text[0] = text[sizes[index] - 1] = '"';
        text[sizes[index]] = '\0';
        assert_int_equal(rig_submit(&rig, JQ_TRANSFORM, "length", text, 1, &calls[index]), PH_OK);
    }
    memset(text, '1', JQ_INPUT_BYTES_MAX + 1);
    text[JQ_INPUT_BYTES_MAX + 1] = '\0';
    struct call refused;
    assert_int_equal(rig_submit(&rig, JQ_FILTER, ".", text, 1, &refused), PH_TOO_LARGE);
    free(text);
    rig_wait(&rig, PH_ARRAY_LENGTH(sizes));
    for (size_t index = 0; index < PH_ARRAY_LENGTH(sizes); index++) {
        int64_t length = 0;
        assert_int_equal(calls[index].outcome, JQ_OK);
        assert_true(slice_to_int64(slice_of(calls[index].output), &length));
        assert_int_equal(length, sizes[index] - 2);
        call_free(&calls[index]);
    }
    rig_end(&rig);
}

/* Programs that do not compile are kept like others and cost little, so they fill the worker's
 * cache and the pool's records. */
static void test_forgotten_programs_are_sent_again(void **state)
{
    (void)state;
    struct rig rig;
    static struct call calls[9000];
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .queue_max = 10000});
    check_well(&rig);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(calls); index++) {
        char program[32];
        (void)snprintf(program, sizeof program, "(%zu", index);
        assert_int_equal(rig_submit(&rig, JQ_FILTER, program, INPUT, 1, &calls[index]), PH_OK);
    }
    rig_wait(&rig, 1 + PH_ARRAY_LENGTH(calls));
    for (size_t index = 0; index < PH_ARRAY_LENGTH(calls); index++) {
        assert_int_equal(calls[index].outcome, JQ_PROGRAM_ERROR);
    }
    check_well(&rig);
    check_well(&rig);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_WORKERS_ENDED), 0);
    rig_end(&rig);
}

static void test_a_slow_owner_leaves_the_others_their_share(void **state)
{
    (void)state;
    struct rig rig;
    struct call slow[20];
    struct call fast[40];
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .timeout_us = 5000000});
    check_well(&rig);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(slow); index++) {
        assert_int_equal(
            rig_submit(&rig, JQ_FILTER, "[range(300000)] | length > 1", INPUT, 1, &slow[index]),
            PH_OK);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(fast); index++) {
        assert_int_equal(rig_submit(&rig, JQ_FILTER, ".data.n == 3", INPUT, 2, &fast[index]),
                         PH_OK);
    }
    size_t fast_done = 0;
    size_t slow_done = 0;
    for (size_t answered = 2; fast_done < PH_ARRAY_LENGTH(fast); answered++) {
        rig_wait(&rig, answered);
        pthread_mutex_lock(&rig.mutex);
        fast_done = slow_done = 0;
        for (size_t index = 0; index < PH_ARRAY_LENGTH(fast); index++) {
            fast_done += fast[index].answers;
        }
        for (size_t index = 0; index < PH_ARRAY_LENGTH(slow); index++) {
            slow_done += slow[index].answers;
        }
        pthread_mutex_unlock(&rig.mutex);
    }
    assert_in_range(slow_done, 0, 5);
    rig_wait(&rig, 1 + PH_ARRAY_LENGTH(slow) + PH_ARRAY_LENGTH(fast));
    rig_end(&rig);
}

static void test_stopping_answers_everything(void **state)
{
    (void)state;
    struct rig rig;
    static struct call calls[200];
    rig_start(&rig, (struct jq_pool_options){.workers = 2, .timeout_us = 5000000});
    check_well(&rig);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(calls); index++) {
        assert_int_equal(rig_submit(&rig, JQ_FILTER, index % 10 == 3 ? LOOP : "true", INPUT, index,
                                    &calls[index]),
                         PH_OK);
    }
    jq_pool_stop(rig.pool);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(calls); index++) {
        assert_int_equal(calls[index].answers, 1);
        assert_true(calls[index].outcome == JQ_OK || calls[index].outcome == JQ_UNAVAILABLE);
    }
    assert_int_equal(calls[3].outcome, JQ_UNAVAILABLE);
    assert_string_equal(calls[3].words, "the server is shutting down");
    assert_int_equal(rig_submit(&rig, JQ_FILTER, "true", INPUT, 1, &calls[0]), PH_SHUTTING_DOWN);
    rig_end(&rig);
}

/* --- workers that do not work -------------------------------------------------------------------
 */

static void check_executable(const char *executable, const char *words)
{
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 2, .executable = executable});
    rig.log.level = LOG_LEVEL_ERROR + 1;
    for (size_t index = 0; index < 3; index++) {
        struct call call = rig_run(&rig, JQ_FILTER, "true", INPUT);
        assert_int_equal(call.outcome, JQ_UNAVAILABLE);
        if (strstr(call.words, words) == NULL) {
            fail_msg("%s: \"%s\"", executable, call.words);
        }
    }
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_UNAVAILABLE), 3);
    rig_end(&rig);
}

static void write_script(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_workers_that_cannot_start(void **state)
{
    (void)state;
    check_executable("/nonexistent/posthorn", "could not start a process: No such file");
    check_executable("/bin/false", "a jq worker ended at its start");
}

#define READY "PJR1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"

static void test_workers_that_talk_nonsense(void **state)
{
    (void)state;
    char folder[] = "/tmp/posthorn-jq-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/worker", folder);
    write_script(path, "#!/bin/sh\nprintf 'what is this?  what is this?' >&0\nexec sleep 60\n");
    check_executable(path, "a jq worker ended at its start");

    /* One that greets well, and then answers what nobody asked. */
    write_script(path, "#!/bin/sh\nprintf '" READY "' >&0\nhead -c 64 >/dev/null\n"
                       "printf '" READY "' >&0\nexec sleep 60\n");
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1, .executable = path});
    struct call call = rig_run(&rig, JQ_FILTER, "true", INPUT);
    assert_int_equal(call.outcome, JQ_LIMIT);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_WORKERS_ENDED), 2);
    rig_end(&rig);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_an_idle_pool_has_no_process(void **state)
{
    (void)state;
    struct rig rig;
    pid_t pid;
    rig_start(&rig, (struct jq_pool_options){.workers = 8});
    assert_int_equal(find_workers(&pid, 1), 0);
    check_well(&rig);
    assert_int_equal(metrics_get(&rig.metrics, METRIC_JQ_WORKERS), 1);
    rig_end(&rig);
    assert_int_equal(find_workers(&pid, 1), 0);
}

int main(int count, char **arguments)
{
    RIG_WORKER(count, arguments);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_workers_lose_nothing),
        cmocka_unit_test(test_a_worker_killed_while_idle_comes_back),
        cmocka_unit_test(test_a_paused_worker_is_not_the_programs_fault),
        cmocka_unit_test(test_a_worker_that_stays_paused_is_replaced),
        cmocka_unit_test(test_time_of_others_is_not_held_against_a_program),
        cmocka_unit_test(test_the_processor_limit_moves_on),
        cmocka_unit_test(test_workers_do_not_outlive_the_server),
        cmocka_unit_test(test_a_full_queue_refuses),
        cmocka_unit_test(test_a_program_is_put_aside_and_returns),
        cmocka_unit_test(test_nobody_waits_for_ever),
        cmocka_unit_test(test_large_inputs),
        cmocka_unit_test(test_forgotten_programs_are_sent_again),
        cmocka_unit_test(test_a_slow_owner_leaves_the_others_their_share),
        cmocka_unit_test(test_stopping_answers_everything),
        cmocka_unit_test(test_workers_that_cannot_start),
        cmocka_unit_test(test_workers_that_talk_nonsense),
        cmocka_unit_test(test_an_idle_pool_has_no_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
