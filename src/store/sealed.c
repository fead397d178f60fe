/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sealed.h"

#include "store/keyring.h"

struct seal_place sealed_secret_place(int64_t id, int64_t endpoint_id)
{
    return (struct seal_place){
        .table = "endpoint_secret", .column = "secret", .row = id, .owner = endpoint_id};
}

struct seal_place sealed_headers_place(int64_t endpoint_id, int64_t application_id)
{
    return (struct seal_place){
        .table = "endpoint", .column = "headers", .row = endpoint_id, .owner = application_id};
}

struct seal_place sealed_credentials_place(int64_t endpoint_id, int64_t application_id)
{
    return (struct seal_place){
        .table = "endpoint", .column = "credentials", .row = endpoint_id, .owner = application_id};
}

struct seal_place sealed_key_place(int64_t integration_id, int64_t application_id)
{
    return (struct seal_place){
        .table = "integration", .column = "key", .row = integration_id, .owner = application_id};
}

struct seal_place sealed_response_place(int64_t hour, struct slice key_hash)
{
    return (struct seal_place){
        .table = "idempotency", .column = "response", .row = hour, .key = key_hash};
}

struct seal_place sealed_body_place(int64_t message_id)
{
    return (struct seal_place){.table = "payload", .column = "body", .row = message_id};
}

struct seal_place sealed_raw_body_place(int64_t message_id)
{
    return (struct seal_place){.table = "payload", .column = "raw_body", .row = message_id};
}

enum ph_error sealed_make(struct store *store, const struct seal_place *place, struct slice empty,
                          struct slice *value, struct buf *sealed, struct diag *diag)
{
    if (store->keyring == NULL || value->ptr == NULL || slice_equal(*value, empty)) {
        return PH_OK;
    }
    enum ph_error error = keyring_seal(store->keyring, place, *value, diag, sealed);
    if (error == PH_OK) {
        *value = empty;
    }
    return error;
}

enum ph_error sealed_read(struct store *store, const struct seal_place *place, struct slice twin,
                          struct slice *value, struct secret *opened, struct diag *diag)
{
    if (twin.ptr == NULL) {
        return PH_OK;
    }
    if (store->keyring == NULL) {
        return diag_set(diag, PH_SEALED, "store",
                        "the %s of %s %lld is sealed and there is no master key", place->column,
                        place->table, (long long)place->row);
    }
    enum ph_error error = keyring_unseal(store->keyring, store->db, place, twin, diag, opened);
    if (error == PH_OK) {
        *value = (struct slice){(const char *)opened->bytes, opened->length};
    }
    return error;
}
