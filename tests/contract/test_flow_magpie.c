/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks of the magpie surface: how a set becomes endpoints, what stays at a reload, and events. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/endpoint_options.h"
#include "store/endpoint.h"
#include "surfaces/magpie/hook.h"
#include "surfaces/surface.h"

#define ARENA_BYTES (1u << 22)
#define URL "http://127.0.0.1:9/"

static const struct retry_schedule one_attempt = {.count = 0};
static const struct retry_schedule three_attempts = {.delays_us = {5000000, 7500000}, .count = 2};

static struct flow_rig *open_rig(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    flow_rig_start(rig);
    return rig;
}

/* --- sets ------------------------------------------------------------------------------------- */

static struct magpie_hook_set *new_set(const char *hooks)
{
    struct magpie_hook_set *set = magpie_hook_set_new();
    BUF_AUTO struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_format(&text, "webhooks: [%s]", hooks);
    magpie_config_add(&set->config, TEXT("f.yml"), buf_slice(&text));
    assert_int_equal(set->config.error_count, 0);
    set->endpoint_ids = ph_calloc(set->config.hook_count + 1, sizeof set->endpoint_ids[0]);
    return set;
}

struct application_of_set {
    struct magpie_hook_set *set;
    const struct retry_schedule *schedule;
    bool fails;
};

static enum ph_error run_apply(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const struct application_of_set *argument = write->argument;
    enum ph_error error = magpie_hooks_apply(txn, argument->schedule, argument->set, diag);
    return error == PH_OK && argument->fails
               ? diag_set(diag, PH_CONFLICT, NULL, "something else failed")
               : error;
}

static void apply_with(struct flow_rig *rig, struct magpie_hook_set *set,
                       const struct retry_schedule *schedule)
{
    const struct application_of_set argument = {set, schedule, false};
    (void)flow_rig_write(rig, run_apply, &argument);
}

static void assert_counts(const struct magpie_hook_set *set, size_t added, size_t changed,
                          size_t removed)
{
    assert_int_equal(set->added, added);
    assert_int_equal(set->changed, changed);
    assert_int_equal(set->removed, removed);
}

static int64_t live_endpoints(struct flow_rig *rig)
{
    return flow_rig_number(rig,
                           "SELECT count(*) FROM endpoint JOIN application ON application.id ="
                           " endpoint.application_id WHERE application.uid = 'magpie'"
                           " AND endpoint.deleted_at IS NULL",
                           0);
}

#define A "{name: a, action: create_user, method: POST, url: '" URL "a', payload: {n: 1}}"
#define B "{name: b, action: create_user, method: PUT, url: '" URL "b'}"
#define C "{name: a, action: delete_user, method: GET, url: '" URL "c', format: text, payload: x}"

static void test_reloads_keep_endpoints(void **state)
{
    struct flow_rig *rig = open_rig(state);
    struct magpie_hook_set *first = new_set(A "," B "," C);
    apply_with(rig, first, &one_attempt);
    assert_counts(first, 3, 0, 0);
    assert_int_equal(live_endpoints(rig), 3);
    assert_true(first->endpoint_ids[0] < first->endpoint_ids[1]);
    struct magpie_hook_set *same = new_set(A "," B "," C);
    apply_with(rig, same, &one_attempt);
    assert_counts(same, 0, 0, 0);
    assert_true(same->version > first->version);
    /* Another order, another URL and method, one gone, one more. */
    struct magpie_hook_set *other =
        new_set(C ",{name: a, action: create_user, method: DELETE, url: '" URL "x'},"
                  "{name: d, action: create_user, method: POST, url: '" URL "d'}");
    apply_with(rig, other, &one_attempt);
    assert_counts(other, 1, 1, 1);
    assert_int_equal(live_endpoints(rig), 3);
    assert_true(other->endpoint_ids[0] == first->endpoint_ids[2]);
    assert_true(other->endpoint_ids[1] == first->endpoint_ids[0]);
    assert_true(other->endpoint_ids[2] > first->endpoint_ids[2]);
    /* Nothing of it is left without any. */
    struct magpie_hook_set *none = new_set("");
    apply_with(rig, none, &one_attempt);
    assert_counts(none, 0, 0, 3);
    assert_int_equal(live_endpoints(rig), 0);
    magpie_hook_set_unref(first);
    magpie_hook_set_unref(same);
    magpie_hook_set_unref(other);
    magpie_hook_set_unref(none);
    flow_rig_close(rig);
}

static void test_who_has_no_hooks_sees_no_application(void **state)
{
    struct flow_rig *rig = open_rig(state);
    struct magpie_hook_set *none = new_set("");
    apply_with(rig, none, &one_attempt);
    assert_int_equal(
        flow_rig_number(rig, "SELECT count(*) FROM application WHERE uid = 'magpie'", 0), 0);
    magpie_hook_set_unref(none);
    flow_rig_close(rig);
}

static void test_all_or_nothing(void **state)
{
    struct flow_rig *rig = open_rig(state);
    struct magpie_hook_set *set = new_set(A "," B);
    const struct application_of_set argument = {set, &one_attempt, true};
    struct rig_write *write = ph_calloc(1, sizeof *write);
    struct diag diag = {0};
    *write = (struct rig_write){.rig = rig, .run = run_apply, .argument = &argument};
    CONTRACT_OK(rig_write_submit(write, &diag), &diag);
    flow_rig_await(rig, &write->is_done);
    assert_int_equal(write->job.error, PH_CONFLICT);
    assert_int_equal(live_endpoints(rig), 0);
    free(write);
    apply_with(rig, set, &one_attempt);
    assert_counts(set, 2, 0, 0);
    magpie_hook_set_unref(set);
    flow_rig_close(rig);
}

/* --- what the native API changes -------------------------------------------------------------- */

struct edit {
    int64_t endpoint_id;
    void (*change)(struct endpoint_row *row, struct endpoint_options *options);
};

static enum ph_error run_edit(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const struct edit *edit = write->argument;
    struct endpoint_row row;
    struct endpoint_options options;
    struct json_out out;
    ARENA_AUTO struct arena arena;
    BUF_AUTO struct buf text;
    arena_init(&arena, ARENA_BYTES);
    buf_init(&text, 1 << 20);
    int64_t application_id;
    enum ph_error error = magpie_application_ensure(txn, diag, &application_id);
    if (error == PH_OK) {
        error = endpoint_find(txn->store, application_id, edit->endpoint_id, ENDPOINT_LIVE, &arena,
                              diag, &row);
    }
    if (error == PH_OK) {
        error = endpoint_options_read(row.options, &arena, diag, &options);
    }
    if (error != PH_OK) {
        return error;
    }
    edit->change(&row, &options);
    json_out_init(&out, &text);
    endpoint_options_write(&out, &options);
    row.options = buf_slice(&text);
    return endpoint_update(txn->store, &row, diag);
}

static void read_endpoint(struct flow_rig *rig, int64_t id, struct arena *arena,
                          struct endpoint_row *ret_row, struct endpoint_options *ret_options)
{
    struct diag diag = {0};
    int64_t application_id =
        flow_rig_number(rig, "SELECT application_id FROM endpoint WHERE id = $1", id);
    CONTRACT_OK(db_begin_read(rig->store->db, &diag), &diag);
    CONTRACT_OK(endpoint_find(rig->store, application_id, id, ENDPOINT_LIVE, arena, &diag, ret_row),
                &diag);
    CONTRACT_OK(endpoint_options_read(ret_row->options, arena, &diag, ret_options), &diag);
    db_rollback(rig->store->db);
}

static void change_what_is_not_ours(struct endpoint_row *row, struct endpoint_options *options)
{
    row->throttle_rate = 7;
    row->headers = TEXT("{\"X-Own\":\"1\"}");
    row->is_disabled = true;
    options->timeout_ms = 1500;
    options->signature = (struct endpoint_signature){0};
    options->retry_schedule = (struct retry_schedule){.delays_us = {1000000}, .count = 1};
}

static void change_what_is_ours(struct endpoint_row *row, struct endpoint_options *options)
{
    row->url = TEXT("http://127.0.0.1:9/elsewhere");
    row->uid = TEXT("mine");
    row->description = TEXT("mine");
    row->event_types = SLICE_NONE;
    row->channels = TEXT("[\"x\"]");
    options->is_steady = false;
}

static void test_what_the_native_api_changed(void **state)
{
    struct flow_rig *rig = open_rig(state);
    struct endpoint_row row;
    struct endpoint_options options;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct magpie_hook_set *set = new_set(A);
    apply_with(rig, set, &one_attempt);
    int64_t id = set->endpoint_ids[0];
    read_endpoint(rig, id, &arena, &row, &options);
    assert_true(options.is_steady && options.signature.is_none && options.has_retry_schedule);
    assert_int_equal(options.retry_schedule.count, 0);
    assert_true(slice_equal_text(options.format, "magpie"));
    assert_true(slice_equal_text(row.event_types, "[\"magpie.create_user\"]"));
    assert_true(slice_equal_text(row.description, "a"));
    /* What we set follows the setting. */
    apply_with(rig, set, &three_attempts);
    assert_counts(set, 0, 1, 0);
    read_endpoint(rig, id, &arena, &row, &options);
    assert_int_equal(options.retry_schedule.count, 2);
    const struct edit not_ours = {id, change_what_is_not_ours};
    (void)flow_rig_write(rig, run_edit, &not_ours);
    apply_with(rig, set, &three_attempts);
    assert_counts(set, 0, 0, 0);
    apply_with(rig, set, &one_attempt); /* the format's own note of it changes, no more */
    read_endpoint(rig, id, &arena, &row, &options);
    assert_int_equal(row.throttle_rate, 7);
    assert_true(slice_equal_text(row.headers, "{\"X-Own\":\"1\"}"));
    assert_true(row.is_disabled);
    assert_int_equal(options.timeout_ms, 1500);
    assert_false(options.signature.is_none);
    assert_int_equal(options.retry_schedule.count, 1);
    /* What the configuration says is as it says. */
    const struct edit ours = {id, change_what_is_ours};
    (void)flow_rig_write(rig, run_edit, &ours);
    apply_with(rig, set, &one_attempt);
    assert_counts(set, 0, 1, 0);
    assert_true(set->endpoint_ids[0] == id);
    read_endpoint(rig, id, &arena, &row, &options);
    assert_true(slice_equal_text(row.url, URL "a"));
    assert_true(slice_equal(row.uid, set->config.hooks[0].key));
    assert_true(slice_equal_text(row.description, "a"));
    assert_true(slice_equal_text(row.event_types, "[\"magpie.create_user\"]"));
    assert_null(row.channels.ptr);
    assert_true(options.is_steady);
    magpie_hook_set_unref(set);
    flow_rig_close(rig);
}

/* --- events ----------------------------------------------------------------------------------- */

struct event {
    enum magpie_action action;
    int64_t user_id;
};

static enum ph_error run_emit(struct rig_write *write, struct writer_txn *txn, struct diag *diag)
{
    const struct event *event = write->argument;
    struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
    struct magpie_parameters parameters = magpie_action_sample(event->action, items);
    return magpie_emit_id(txn, event->action, event->user_id, &parameters, diag, &write->result);
}

static int64_t user_of(struct flow_rig *rig, int64_t message_id)
{
    struct diag diag = {0};
    int64_t user_id;
    CONTRACT_OK(db_begin_read(rig->store->db, &diag), &diag);
    CONTRACT_OK(magpie_event_user(rig->store, message_id, &diag, &user_id), &diag);
    db_rollback(rig->store->db);
    return user_id;
}

static int64_t deliveries_of(struct flow_rig *rig, int64_t message_id)
{
    return flow_rig_number(rig, "SELECT count(*) FROM delivery WHERE message_id = $1", message_id);
}

static void test_events_go_to_their_hooks(void **state)
{
    struct flow_rig *rig = open_rig(state);
    static const struct event before = {MAGPIE_CREATE_USER, 3};
    static const struct event created = {MAGPIE_CREATE_USER, 4711};
    static const struct event nobody = {MAGPIE_CREATE_USER, 0};
    static const struct event deleted = {MAGPIE_DELETE_USER, 4711};
    static const struct event status = {MAGPIE_UPDATE_USER_STATUS, 4711};
    /* The application is made with the first event, if no hook made it. */
    int64_t message_id = flow_rig_write(rig, run_emit, &before);
    assert_int_equal(deliveries_of(rig, message_id), 0);
    assert_int_equal(user_of(rig, message_id), 3);
    struct magpie_hook_set *set = new_set(A "," B "," C);
    apply_with(rig, set, &one_attempt);
    message_id = flow_rig_write(rig, run_emit, &created);
    assert_int_equal(deliveries_of(rig, message_id), 2);
    assert_int_equal(user_of(rig, message_id), 4711);
    message_id = flow_rig_write(rig, run_emit, &nobody);
    assert_int_equal(deliveries_of(rig, message_id), 2);
    assert_int_equal(user_of(rig, message_id), 0);
    /* Only a creation marks anybody. */
    message_id = flow_rig_write(rig, run_emit, &deleted);
    assert_int_equal(deliveries_of(rig, message_id), 1);
    assert_int_equal(user_of(rig, message_id), 0);
    message_id = flow_rig_write(rig, run_emit, &status);
    assert_int_equal(deliveries_of(rig, message_id), 0);
    assert_int_equal(user_of(rig, message_id), 0);
    assert_int_equal(user_of(rig, message_id + 1), 0);
    magpie_hook_set_unref(set);
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_reloads_keep_endpoints),
        CONTRACT_BOTH(test_who_has_no_hooks_sees_no_application),
        CONTRACT_BOTH(test_all_or_nothing),
        CONTRACT_BOTH(test_what_the_native_api_changed),
        CONTRACT_BOTH(test_events_go_to_their_hooks),
    };
    surfaces_register_formats();
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
