/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets sealed at rest: the master key and its data keys, sealed and plain rows side by side, the
 * sealing of what was there before, and the change of the master key. Payloads likewise. */
#include "contract/contract.h"
#include "contract/store_endpoint_rig.h"

#include "base/clock.h"
#include "db/migrations.h"
#include "store/endpoint_secret.h"
#include "store/event_list.h"
#include "store/idempotency.h"
#include "store/keyring.h"
#include "store/message_list.h"
#include "store/seal_rows.h"

#define ENDPOINT 11
#define DAY_US (24 * 3600 * CLOCK_US_PER_S)
#define HEADERS "{\"authorization\":\"Bearer hunter2\"}"
#define ANSWER "{\"key\":\"whsec_hunter2\"}"

static const uint8_t answer_key[16] = {0xff, 0, 1};

static struct secret master_of(char fill)
{
    char bytes[SEAL_KEY_BYTES];
    memset(bytes, fill, sizeof bytes);
    return secret_new(bytes, sizeof bytes);
}

static enum ph_error try_keyring(void **state, char fill, struct diag *diag)
{
    const struct contract_store *fresh = *state;
    SECRET_AUTO struct secret master = fill == '\0' ? SECRET_NONE : master_of(fill);
    struct keyring *keyring = NULL;
    enum ph_error error = keyring_open(fresh->address, &master, NOW_US, diag, &keyring);
    assert_true(error == PH_OK || keyring == NULL);
    keyring_free(keyring);
    return error;
}

/* Gives the rig's store a keyring with the master key `fill`. */
static void use_keyring(struct store_rig *rig, void **state, char fill, int64_t now_us)
{
    const struct contract_store *fresh = *state;
    SECRET_AUTO struct secret master = master_of(fill);
    struct diag diag = {0};
    keyring_free(rig->store->keyring);
    rig->store->keyring = NULL;
    CONTRACT_OK(keyring_open(fresh->address, &master, now_us, &diag, &rig->store->keyring), &diag);
    assert_non_null(rig->store->keyring);
}

static void drop_keyring(struct store_rig *rig)
{
    keyring_free(rig->store->keyring);
    rig->store->keyring = NULL;
}

static void close_rig(struct store_rig *rig)
{
    drop_keyring(rig);
    store_rig_close(rig);
}

static struct signing_key *key_of(char fill)
{
    uint8_t entropy[SIGNING_KEY_RANDOM_BYTES];
    memset(entropy, fill, sizeof entropy);
    return signing_key_generate(SIGNATURE_HMAC_SHA256, entropy);
}

static void add_secret(struct store_rig *rig, int64_t id, int64_t endpoint_id, char fill)
{
    struct diag diag = {0};
    struct signing_key *key = key_of(fill);
    CONTRACT_OK(endpoint_secret_insert(rig->store, id, endpoint_id, key, &diag), &diag);
    signing_key_free(key);
}

static enum ph_error read_secret(struct store_rig *rig, int64_t endpoint_id, char fill,
                                 struct diag *diag)
{
    struct signing_key *key = NULL;
    enum ph_error error = endpoint_secret_current(rig->store, endpoint_id, diag, &key);
    if (error == PH_OK) {
        struct signing_key *expected = key_of(fill);
        assert_true(slice_equal(signing_key_bytes(key), signing_key_bytes(expected)));
        signing_key_free(expected);
    }
    signing_key_free(key);
    return error;
}

static void assert_secret(struct store_rig *rig, int64_t endpoint_id, char fill)
{
    struct diag diag = {0};
    CONTRACT_OK(read_secret(rig, endpoint_id, fill, &diag), &diag);
}

static void add_endpoint(struct store_rig *rig, int64_t id)
{
    struct endpoint_row row = endpoint_row_of(id, NULL);
    row.headers = TEXT(HEADERS);
    endpoint_put(rig, &row);
}

static void add_answer(struct store_rig *rig, uint8_t last)
{
    uint8_t key[16];
    memcpy(key, answer_key, sizeof key);
    key[15] = last;
    const struct idempotency_row row = {.status = 200, .response = TEXT(ANSWER)};
    struct diag diag = {0};
    CONTRACT_OK(idempotency_insert(rig->store, key, NOW_US, &row, &diag), &diag);
}

static void assert_answer(struct store_rig *rig, uint8_t last)
{
    uint8_t key[16];
    memcpy(key, answer_key, sizeof key);
    key[15] = last;
    struct idempotency_row row;
    struct diag diag = {0};
    CONTRACT_OK(idempotency_find(rig->store, key, NOW_US, &rig->arena, &diag, &row), &diag);
    assert_text_is(row.response, ANSWER);
}

static int64_t plain_count(struct store_rig *rig)
{
    return store_rig_number(rig,
                            "SELECT (SELECT count(*) FROM endpoint_secret WHERE length(secret) > 0)"
                            " + (SELECT count(*) FROM endpoint WHERE headers <> '{}')"
                            " + (SELECT count(*) FROM idempotency WHERE length(response) > 0)",
                            0);
}

static int64_t sealed_count(struct store_rig *rig)
{
    return store_rig_number(
        rig,
        "SELECT (SELECT count(*) FROM endpoint_secret WHERE sealed_secret IS NOT NULL)"
        " + (SELECT count(*) FROM endpoint WHERE sealed_headers IS NOT NULL)"
        " + (SELECT count(*) FROM idempotency WHERE sealed_response IS NOT NULL)",
        0);
}

static int64_t data_key_count(struct store_rig *rig)
{
    return store_rig_number(rig, "SELECT count(*) FROM data_key", 0);
}

static void test_without_a_master_key_all_is_as_before(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    CONTRACT_OK(try_keyring(state, '\0', &diag), &diag);
    add_secret(&rig, 1, ENDPOINT, 'a');
    add_endpoint(&rig, ENDPOINT);
    add_answer(&rig, 1);
    assert_int_equal(plain_count(&rig), 3);
    assert_int_equal(sealed_count(&rig), 0);
    assert_int_equal(data_key_count(&rig), 0);
    assert_secret(&rig, ENDPOINT, 'a');
    close_rig(&rig);
}

static void test_what_is_written_is_sealed(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add_secret(&rig, 1, 10, 'p'); /* in plain, and stays so here */
    use_keyring(&rig, state, 'm', NOW_US);
    add_secret(&rig, 2, ENDPOINT, 'a');
    add_endpoint(&rig, ENDPOINT);
    add_answer(&rig, 1);
    assert_int_equal(plain_count(&rig), 1);
    assert_int_equal(sealed_count(&rig), 3);
    assert_secret(&rig, 10, 'p');
    assert_secret(&rig, ENDPOINT, 'a');
    assert_answer(&rig, 1);

    struct endpoint_row row = endpoint_found(&rig, ENDPOINT);
    assert_text_is(row.headers, HEADERS);
    row.headers = TEXT("{\"x\":\"2\"}");
    endpoint_change(&rig, &row);
    assert_text_is(endpoint_found(&rig, ENDPOINT).headers, "{\"x\":\"2\"}");
    assert_int_equal(sealed_count(&rig), 3);
    row.headers = TEXT("{}"); /* nothing to seal */
    endpoint_change(&rig, &row);
    assert_text_is(endpoint_found(&rig, ENDPOINT).headers, "{}");
    assert_int_equal(sealed_count(&rig), 2);

    struct arena small;
    arena_init(&small, 4);
    struct idempotency_row answer;
    uint8_t key[16];
    memcpy(key, answer_key, sizeof key);
    key[15] = 1;
    assert_int_equal(idempotency_find(rig.store, key, NOW_US, &small, NULL, &answer), PH_NO_MEMORY);
    arena_done(&small);
    close_rig(&rig);
}

static void test_a_sealed_store_wants_its_key(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    use_keyring(&rig, state, 'm', NOW_US);
    add_secret(&rig, 1, ENDPOINT, 'a');
    struct diag diag = {0};
    assert_int_equal(try_keyring(state, '\0', &diag), PH_INVALID);
    assert_non_null(strstr(diag.text, "set master_key_file"));
    assert_int_equal(try_keyring(state, 'w', &diag), PH_INVALID);
    assert_non_null(strstr(diag.text, "this is not the master key of the store"));
    CONTRACT_OK(try_keyring(state, 'm', &diag), &diag);
    drop_keyring(&rig);
    assert_int_equal(read_secret(&rig, ENDPOINT, 'a', &diag), PH_SEALED);
    assert_non_null(strstr(diag.text, "there is no master key"));
    /* A master key that only looks right by its id. */
    store_rig_run(&rig, "UPDATE data_key SET wrapped = sealed_secret FROM endpoint_secret");
    assert_int_equal(try_keyring(state, 'm', &diag), PH_STORE);
    assert_non_null(strstr(diag.text, "damaged"));
    close_rig(&rig);
}

static void test_a_value_that_was_moved_does_not_open(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    use_keyring(&rig, state, 'm', NOW_US);
    add_secret(&rig, 1, ENDPOINT, 'a');
    add_secret(&rig, 2, 12, 'b');
    add_endpoint(&rig, ENDPOINT);
    struct diag diag = {0};
    /* To an endpoint of somebody who may read its secret. */
    store_rig_run(&rig, "UPDATE endpoint_secret SET endpoint_id = 13 WHERE id = 2");
    assert_int_equal(read_secret(&rig, 13, 'b', &diag), PH_SEALED);
    assert_non_null(strstr(diag.text, "cannot be opened"));
    store_rig_run(&rig, "UPDATE endpoint SET application_id = 8");
    assert_int_equal(endpoint_find_error(&rig, OTHER_APPLICATION, ENDPOINT), PH_SEALED);
    assert_secret(&rig, ENDPOINT, 'a');
    struct seal_walk walk = {0};
    struct seal_counts counts = {0};
    while (!walk.is_done) {
        CONTRACT_OK(seal_rows_check(rig.store, &walk, &diag, &counts), &diag);
    }
    assert_int_equal(counts.sealed, 1);
    assert_int_equal(counts.broken, 2);
    assert_int_equal(counts.plain, 0);
    close_rig(&rig);
}

static void test_older_rows_are_sealed_in_steps(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    int rows = 2 * SEAL_ROWS_STEP + 1;
    for (int id = 1; id <= rows; id++) {
        add_secret(&rig, id, id, (char)id);
        if (id <= SEAL_ROWS_STEP) {
            add_endpoint(&rig, id);
            add_answer(&rig, (uint8_t)id);
        }
    }
    endpoint_add(&rig, 900, NULL); /* without headers */
    use_keyring(&rig, state, 'm', NOW_US);
    add_secret(&rig, rows + 1, rows + 1, 'z');
    assert_int_equal(sealed_count(&rig), 1);
    int plain = rows + 2 * SEAL_ROWS_STEP;
    assert_int_equal(plain_count(&rig), plain);
    struct diag diag = {0};
    struct seal_walk walk = {0};
    bool is_done = true;
    CONTRACT_OK(seal_rows_are_done(rig.store, &diag, &is_done), &diag);
    assert_false(is_done);
    assert_int_equal(seal_rows_clean(rig.store, &diag), PH_CONFLICT);
    while (!walk.is_done) {
        int64_t sealed = -1;
        CONTRACT_OK(seal_rows_step(rig.store, &walk, &diag, &sealed), &diag);
        assert_in_range(sealed, 0, SEAL_ROWS_STEP);
        plain -= (int)sealed;
        assert_int_equal(plain_count(&rig), plain);
    }
    assert_int_equal(plain, 0);
    CONTRACT_OK(seal_rows_are_done(rig.store, &diag, &is_done), &diag);
    assert_true(is_done);
    CONTRACT_OK(seal_rows_clean(rig.store, &diag), &diag);
    for (int id = 1; id <= rows; id++) {
        assert_secret(&rig, id, (char)id);
        if (id <= SEAL_ROWS_STEP) {
            assert_text_is(endpoint_found(&rig, id).headers, HEADERS);
            assert_answer(&rig, (uint8_t)id);
        }
    }
    assert_text_is(endpoint_found(&rig, 900).headers, "{}");
    close_rig(&rig);
}

static enum ph_error renew(struct store_rig *rig, int64_t now_us, struct diag *diag)
{
    CONTRACT_OK(db_begin(rig->store->db, diag), diag);
    enum ph_error error = keyring_renew(rig->store->keyring, rig->store->db, now_us, diag);
    if (error == PH_OK) {
        CONTRACT_OK(db_commit(rig->store->db, diag), diag);
    } else {
        db_rollback(rig->store->db);
    }
    return error;
}

static void test_data_keys_change_with_time_and_use(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    use_keyring(&rig, state, 'm', NOW_US);
    struct keyring *keyring = rig.store->keyring;
    add_secret(&rig, 1, 1, 'a');
    assert_false(keyring_is_due(keyring, NOW_US + DAY_US - 1));
    assert_true(keyring_is_due(keyring, NOW_US + DAY_US));
    /* The same day another process may start; that only costs uses. */
    CONTRACT_OK(try_keyring(state, 'm', &diag), &diag);
    assert_int_equal(data_key_count(&rig), 1);

    /* A key that was rolled back is never used. */
    CONTRACT_OK(db_begin(rig.store->db, &diag), &diag);
    CONTRACT_OK(keyring_renew(keyring, rig.store->db, NOW_US + DAY_US, &diag), &diag);
    db_rollback(rig.store->db);
    CONTRACT_OK(keyring_load(keyring, rig.store->db, &diag), &diag);
    assert_int_equal(keyring_count(keyring), 1);

    CONTRACT_OK(renew(&rig, NOW_US + DAY_US, &diag), &diag);
    add_secret(&rig, 2, 2, 'b'); /* still with the first */
    CONTRACT_OK(keyring_load(keyring, rig.store->db, &diag), &diag);
    assert_int_equal(keyring_count(keyring), 2);
    assert_false(keyring_is_due(keyring, NOW_US + DAY_US));
    add_secret(&rig, 3, 3, 'c');

    store_rig_run(&rig, "UPDATE data_key SET uses = 1073741824");
    CONTRACT_OK(renew(&rig, NOW_US + DAY_US, &diag), &diag);
    CONTRACT_OK(keyring_load(keyring, rig.store->db, &diag), &diag);
    assert_int_equal(keyring_count(keyring), 3);
    add_secret(&rig, 4, 4, 'd');
    use_keyring(&rig, state, 'm', NOW_US + DAY_US);
    for (int id = 1; id <= 4; id++) {
        assert_secret(&rig, id, (char)('a' + id - 1));
    }
    close_rig(&rig);
}

static void test_keys_of_another_process_are_found(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    use_keyring(&rig, state, 'm', NOW_US);
    struct keyring *former = rig.store->keyring;
    rig.store->keyring = NULL;
    use_keyring(&rig, state, 'm', NOW_US + DAY_US);
    add_secret(&rig, 1, 1, 'a');
    keyring_free(rig.store->keyring);
    rig.store->keyring = former;
    assert_int_equal(keyring_count(former), 1);
    assert_secret(&rig, 1, 'a');
    assert_int_equal(keyring_count(former), 2);
    struct diag diag = {0};
    store_rig_run(&rig, "DELETE FROM data_key");
    drop_keyring(&rig);
    use_keyring(&rig, state, 'm', NOW_US);
    assert_int_equal(read_secret(&rig, 1, 'a', &diag), PH_SEALED);
    close_rig(&rig);
}

static void test_the_master_key_changes(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    SECRET_AUTO struct secret former = master_of('m');
    SECRET_AUTO struct secret next = master_of('n');
    SECRET_AUTO struct secret wrong = master_of('w');
    struct diag diag = {0};
    int64_t count = 0;
    struct db *db = rig.store->db;
    assert_int_equal(keyring_rewrap(db, &former, &next, &diag, &count), PH_NOT_FOUND);
    use_keyring(&rig, state, 'm', NOW_US - DAY_US);
    add_secret(&rig, 1, 1, 'a');
    use_keyring(&rig, state, 'm', NOW_US);
    add_secret(&rig, 2, 2, 'b');
    assert_int_equal(keyring_rewrap(db, &wrong, &next, &diag, &count), PH_INVALID);
    CONTRACT_OK(try_keyring(state, 'm', &diag), &diag);

    CONTRACT_OK(keyring_rewrap(db, &former, &next, &diag, &count), &diag);
    assert_int_equal(count, 2);
    assert_int_equal(try_keyring(state, 'm', &diag), PH_INVALID);
    /* A server that ran on all the same: it goes on with what it has and makes no key. */
    assert_int_equal(renew(&rig, NOW_US, &diag), PH_INVALID);
    assert_secret(&rig, 2, 'b');

    use_keyring(&rig, state, 'n', NOW_US);
    assert_secret(&rig, 1, 'a');
    assert_secret(&rig, 2, 'b');
    assert_int_equal(data_key_count(&rig), 3); /* new secrets do not use the old ones */
    close_rig(&rig);
}

/* --- payloads -------------------------------------------------------------------------------- */

#define PAYLOAD "{\"marker\":\"payload-hunter2\"}"
#define RAW_BODY "raw-hunter2\n"
#define TRACE "a trace of 25 bytes......"

static enum ph_error try_payload(struct store_rig *rig, int64_t id, struct slice raw_body,
                                 struct diag *diag)
{
    const struct message_row row = {
        .id = id,
        .application_id = APPLICATION,
        .event_type = TEXT("a"),
        .payload_expires_at_us = LATER_US,
    };
    CONTRACT_OK(message_insert(rig->store, &row, diag), diag);
    return message_insert_payload(rig->store, id, TEXT(PAYLOAD), raw_body, TEXT(TRACE), diag);
}

static void add_payload(struct store_rig *rig, int64_t id, struct slice raw_body)
{
    struct diag diag = {0};
    CONTRACT_OK(try_payload(rig, id, raw_body, &diag), &diag);
}

static void assert_payload(struct store_rig *rig, int64_t id, const char *expected_sent)
{
    struct diag diag = {0};
    struct slice payload;
    struct slice sent;
    struct slice trace;
    CONTRACT_OK(message_payload(rig->store, id, &rig->arena, &diag, &payload), &diag);
    assert_text_is(payload, PAYLOAD);
    CONTRACT_OK(message_sent(rig->store, id, &rig->arena, &diag, &sent, &trace), &diag);
    assert_text_is(sent, expected_sent);
    assert_text_is(trace, TRACE);
}

static int64_t plain_payloads(struct store_rig *rig)
{
    return store_rig_number(rig,
                            "SELECT coalesce(sum(CASE WHEN length(body) > 0 THEN 1 ELSE 0 END), 0)"
                            " + coalesce(sum(CASE WHEN length(raw_body) > 0 THEN 1 ELSE 0 END), 0)"
                            " FROM payload",
                            0);
}

static int64_t sealed_payloads(struct store_rig *rig)
{
    return store_rig_number(rig, "SELECT count(sealed_body) + count(sealed_raw_body) FROM payload",
                            0);
}

static enum ph_error read_payload(struct store_rig *rig, int64_t id, struct diag *diag)
{
    struct slice payload;
    return message_payload(rig->store, id, &rig->arena, diag, &payload);
}

static enum ph_error read_sent(struct store_rig *rig, int64_t id, struct diag *diag)
{
    struct slice sent;
    struct slice trace;
    return message_sent(rig->store, id, &rig->arena, diag, &sent, &trace);
}

static void test_payloads_are_sealed(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    add_payload(&rig, 1, SLICE_NONE); /* before there was a key */
    add_payload(&rig, 2, TEXT(RAW_BODY));
    assert_int_equal(plain_payloads(&rig), 3);
    assert_int_equal(sealed_payloads(&rig), 0);
    use_keyring(&rig, state, 'm', NOW_US);
    add_payload(&rig, 3, SLICE_NONE);
    add_payload(&rig, 4, TEXT(RAW_BODY));
    add_payload(&rig, 5, TEXT("")); /* raw bytes, none of them */
    assert_int_equal(plain_payloads(&rig), 3);
    assert_int_equal(sealed_payloads(&rig), 4);
    assert_payload(&rig, 1, PAYLOAD);
    assert_payload(&rig, 2, RAW_BODY);
    assert_payload(&rig, 3, PAYLOAD);
    assert_payload(&rig, 4, RAW_BODY);
    assert_payload(&rig, 5, "");

    struct diag diag = {0};
    struct arena small;
    arena_init(&small, 4);
    struct slice payload;
    assert_int_equal(message_payload(rig.store, 4, &small, &diag, &payload), PH_NO_MEMORY);
    arena_done(&small);
    CONTRACT_OK(message_payload(rig.store, 4, NULL, &diag, NULL), &diag);
    bool was_pending;
    CONTRACT_OK(message_expunge(rig.store, 4, NOW_US, &diag, &was_pending), &diag);
    assert_int_equal(read_payload(&rig, 4, &diag), PH_NOT_FOUND);
    close_rig(&rig);
}

/* One that cannot be opened is an error of its own, and no list ends at it. */
static void test_an_unreadable_payload_stands_alone(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    use_keyring(&rig, state, 'm', NOW_US);
    for (int64_t id = 1; id <= 4; id++) {
        add_payload(&rig, id, TEXT(RAW_BODY));
    }
    struct diag diag = {0};
    store_rig_run(&rig, "UPDATE payload SET sealed_body = (SELECT sealed_body FROM payload"
                        " WHERE message_id = 1) WHERE message_id = 2");
    assert_int_equal(read_payload(&rig, 2, &diag), PH_SEALED);
    assert_non_null(strstr(diag.text, "the sealed body of payload 2 cannot be opened"));
    CONTRACT_OK(read_sent(&rig, 2, &diag), &diag);
    store_rig_run(&rig, "UPDATE payload SET sealed_body = sealed_raw_body,"
                        " sealed_raw_body = sealed_body WHERE message_id = 3");
    assert_int_equal(read_payload(&rig, 3, &diag), PH_SEALED);
    assert_int_equal(read_sent(&rig, 3, &diag), PH_SEALED);
    assert_payload(&rig, 4, RAW_BODY);
    CONTRACT_OK(message_payload(rig.store, 3, NULL, &diag, NULL), &diag); /* it is there */

    const struct message_query query = {.application_id = APPLICATION,
                                        .page = oldest_first(10),
                                        .with_payload = true,
                                        .now_us = NOW_US};
    struct message_item items[11];
    struct list_end end;
    CONTRACT_OK(message_page(rig.store, &query, &rig.arena, &diag, items, &end), &diag);
    assert_int_equal(end.count, 4);
    assert_text_is(items[0].payload, PAYLOAD);
    assert_null(items[1].payload.ptr);
    assert_text_is(items[3].payload, PAYLOAD);
    const struct event_row event = {.id = 2, .message = items[1].row};
    struct slice content = TEXT("x");
    CONTRACT_OK(event_content(rig.store, &event, NOW_US, &rig.arena, &diag, &content), &diag);
    assert_null(content.ptr);

    struct seal_walk walk = {0};
    struct seal_counts counts = {0};
    while (!walk.is_done) {
        CONTRACT_OK(seal_rows_check(rig.store, &walk, &diag, &counts), &diag);
    }
    assert_int_equal(counts.sealed, 5);
    assert_int_equal(counts.broken, 3);
    drop_keyring(&rig);
    assert_int_equal(read_payload(&rig, 4, &diag), PH_SEALED);
    assert_non_null(strstr(diag.text, "there is no master key"));
    close_rig(&rig);
}

static void test_older_payloads_are_sealed_in_steps(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    const int rows = SEAL_ROWS_STEP + 20;
    for (int id = 1; id <= rows; id++) {
        add_payload(&rig, id, id % 10 == 0 ? TEXT(RAW_BODY) : SLICE_NONE);
    }
    /* Three that are too large for one step together. */
    store_rig_run(
        &rig, "{if_sqlite}UPDATE payload SET body = zeroblob(1048576) WHERE message_id <= 3{end}"
              "{if_postgres}UPDATE payload SET body = decode(repeat('00', 1048576), 'hex')"
              " WHERE message_id <= 3{end}");
    int plain = rows + rows / 10;
    assert_int_equal(plain_payloads(&rig), plain);
    use_keyring(&rig, state, 'm', NOW_US);
    struct diag diag = {0};
    struct seal_walk walk = {0};
    int64_t first = 0;
    while (!walk.is_done) {
        int64_t sealed = -1;
        CONTRACT_OK(seal_rows_step(rig.store, &walk, &diag, &sealed), &diag);
        first = first == 0 ? sealed : first;
        plain -= (int)sealed;
        assert_int_equal(plain_payloads(&rig), plain);
    }
    assert_int_equal(plain, 0);
    assert_int_equal(first, 2);
    assert_int_equal(sealed_payloads(&rig), rows + rows / 10);
    for (int id = 4; id <= rows; id++) {
        assert_payload(&rig, id, id % 10 == 0 ? RAW_BODY : PAYLOAD);
    }
    CONTRACT_OK(seal_rows_clean(rig.store, &diag), &diag);
    SECRET_AUTO struct secret former = master_of('m');
    SECRET_AUTO struct secret next = master_of('n');
    int64_t count = 0;
    CONTRACT_OK(keyring_rewrap(rig.store->db, &former, &next, &diag, &count), &diag);
    assert_int_equal(count, 1);
    use_keyring(&rig, state, 'n', NOW_US);
    add_payload(&rig, 999, TEXT(RAW_BODY));
    assert_payload(&rig, rows, RAW_BODY);
    assert_payload(&rig, 4, PAYLOAD);
    assert_payload(&rig, 999, RAW_BODY);
    close_rig(&rig);
}

/* A store whose secrets were all sealed before payloads could be: the migration forgets that. */
static void test_the_migration_has_it_walked_again(void **state)
{
    const struct contract_store *fresh = *state;
    struct db *db = contract_connect(fresh, DB_READ_WRITE);
    struct diag diag = {0};
    int applied;
    CONTRACT_OK(db_migrate(db, sql_migrations, 14, &diag, &applied), &diag);
    struct db_statement *insert =
        db_prepare(db, "INSERT INTO meta (name, value) VALUES ('secrets_sealed', $1)");
    db_bind_blob(insert, 1, TEXT("1"));
    CONTRACT_OK(db_exec(insert, &diag), &diag);
    db_close(db);
    struct store_rig rig;
    store_rig_open(&rig, state);
    bool is_done = true;
    CONTRACT_OK(seal_rows_are_done(rig.store, &diag, &is_done), &diag);
    assert_false(is_done);
    close_rig(&rig);
}

/* A key never seals more than was reserved of its uses in its row. */
static void test_uses_are_reserved_before(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    use_keyring(&rig, state, 'm', NOW_US);
    struct keyring *keyring = rig.store->keyring;
    struct diag diag = {0};
    int64_t before = store_rig_number(&rig, "SELECT uses FROM data_key", 0);
    keyring_set_block(keyring, 4);
    CONTRACT_OK(renew(&rig, NOW_US, &diag), &diag);
    CONTRACT_OK(keyring_load(keyring, rig.store->db, &diag), &diag);
    assert_int_equal(store_rig_number(&rig, "SELECT uses FROM data_key", 0), before + 4);
    assert_false(keyring_is_due(keyring, NOW_US));
    add_payload(&rig, 1, TEXT(RAW_BODY)); /* two uses */
    assert_false(keyring_is_due(keyring, NOW_US));
    add_payload(&rig, 2, SLICE_NONE);
    assert_true(keyring_is_due(keyring, NOW_US));
    assert_int_equal(try_payload(&rig, 3, TEXT(RAW_BODY), &diag), PH_STORE_BUSY);
    assert_non_null(strstr(diag.text, "reserved"));
    CONTRACT_OK(renew(&rig, NOW_US, &diag), &diag);
    CONTRACT_OK(keyring_load(keyring, rig.store->db, &diag), &diag);
    assert_int_equal(store_rig_number(&rig, "SELECT uses FROM data_key", 0), before + 8);
    add_payload(&rig, 4, TEXT(RAW_BODY));
    assert_payload(&rig, 1, RAW_BODY);
    assert_payload(&rig, 4, RAW_BODY);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_without_a_master_key_all_is_as_before),
        CONTRACT_BOTH(test_what_is_written_is_sealed),
        CONTRACT_BOTH(test_a_sealed_store_wants_its_key),
        CONTRACT_BOTH(test_a_value_that_was_moved_does_not_open),
        CONTRACT_BOTH(test_older_rows_are_sealed_in_steps),
        CONTRACT_BOTH(test_data_keys_change_with_time_and_use),
        CONTRACT_BOTH(test_keys_of_another_process_are_found),
        CONTRACT_BOTH(test_the_master_key_changes),
        CONTRACT_BOTH(test_payloads_are_sealed),
        CONTRACT_BOTH(test_an_unreadable_payload_stands_alone),
        CONTRACT_BOTH(test_older_payloads_are_sealed_in_steps),
        CONTRACT_BOTH(test_the_migration_has_it_walked_again),
        CONTRACT_BOTH(test_uses_are_reserved_before),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
