/* SPDX-License-Identifier: Apache-2.0 */
/* The data directory: its lock, the token secret, the store's address. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/command.h"
#include "app/file.h"
#include "base/clock.h"
#include "base/random.h"
#include "core/hex.h"
#include "core/jwt.h"
#include "core/seal.h"

#define SECRET_BYTES 32
#define SECRET_FILE_MAX 4096
#define SECRET_BYTES_FEW 16
/* Room for the hexadecimal text and white space. */
#define MASTER_KEY_FILE_MAX 256

char *data_path(const struct options *options, const char *name)
{
    BUF_AUTO struct buf path;
    buf_init(&path, 8192);
    buf_append_format(&path, "%s/%s", option_text(options, OPTION_DATA), name);
    char *text = buf_take(&path, NULL);
    PH_ASSERT(text != NULL);
    return text;
}

char *data_store_address(const struct options *options)
{
    const char *store = option_text(options, OPTION_STORE);
    if (store[0] != '\0') {
        return ph_strdup(store);
    }
    BUF_AUTO struct buf address;
    buf_init(&address, 8192);
    buf_append_format(&address, "sqlite:%s", option_text(options, OPTION_DATA));
    char *text = buf_take(&address, NULL);
    PH_ASSERT(text != NULL);
    return text;
}

char *data_store_directory(const struct options *options)
{
    PH_AUTO_FREE char *address = data_store_address(options);
    struct slice scheme = SLICE_LITERAL("sqlite:");
    return slice_starts_with(slice_of(address), scheme.ptr) ? ph_strdup(address + scheme.len)
                                                            : NULL;
}

/* Whether the store's folder has the file; false with PostgreSQL. */
static bool has_store_file(const struct options *options, const char *name)
{
    PH_AUTO_FREE char *folder = data_store_directory(options);
    BUF_AUTO struct buf path;
    buf_init(&path, 8192);
    buf_append_format(&path, "%s/%s", folder == NULL ? "" : folder, name);
    return folder != NULL && file_exists(buf_text(&path));
}

enum ph_error data_check_restored(const struct options *options, struct diag *diag)
{
    if (has_store_file(options, DATA_UNFINISHED)) {
        return diag_set(diag, PH_CONFLICT, "data",
                        "a restore was cut short: run `posthorn restore FILE --force` again");
    }
    return PH_OK;
}

enum ph_error data_check_store(const struct options *options, struct diag *diag)
{
    PH_AUTO_FREE char *folder = data_store_directory(options);
    if (folder != NULL && !has_store_file(options, "posthorn.db")) {
        return diag_set(diag, PH_NOT_FOUND, "data", "there is no store in %s", folder);
    }
    return data_check_restored(options, diag);
}

enum ph_error data_make(const struct options *options, struct diag *diag)
{
    const char *path = option_text(options, OPTION_DATA);
    struct stat status;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return diag_set(diag, PH_IO, "data", "cannot make the data directory %s: %s", path,
                        strerrordesc_np(errno));
    }
    if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
        return diag_set(diag, PH_IO, "data", "the data directory %s is not a directory", path);
    }
    return PH_OK;
}

static enum ph_error make_secret(const char *path, struct diag *diag)
{
    uint8_t bytes[SECRET_BYTES];
    random_bytes(bytes, sizeof bytes);
    BUF_AUTO struct buf text;
    buf_init(&text, 2 * SECRET_BYTES + 2);
    hex_append(&text, bytes, sizeof bytes);
    buf_append_byte(&text, '\n');
    enum ph_error error = file_write(path, buf_slice(&text), 0600, true, diag);
    secret_wipe(bytes, sizeof bytes);
    secret_wipe(text.data, text.len);
    return error == PH_CONFLICT ? PH_OK : error; /* another process was first: read its file */
}

enum ph_error data_jwt_secret(const struct options *options, struct diag *diag,
                              struct secret *ret_secret)
{
    const char *given = option_text(options, OPTION_JWT_SECRET);
    if (given[0] != '\0') {
        *ret_secret = secret_new(given, strlen(given));
        return PH_OK;
    }
    PH_AUTO_FREE char *path = data_path(options, "jwt_secret");
    BUF_AUTO struct buf text;
    buf_init(&text, SECRET_FILE_MAX);
    enum ph_error error = file_read(path, &text, diag);
    if (error == PH_NOT_FOUND) {
        error = data_make(options, diag);
        if (error == PH_OK) {
            error = make_secret(path, diag);
        }
        if (error == PH_OK) {
            error = file_read(path, &text, diag);
        }
    }
    if (error == PH_OK) {
        struct slice trimmed = slice_trim(buf_slice(&text));
        if (trimmed.len == 0) {
            error = diag_set(diag, PH_IO, "jwt_secret", "the file %s is empty", path);
        } else {
            *ret_secret = secret_new(trimmed.ptr, trimmed.len);
        }
    }
    secret_wipe(text.data, text.len);
    return error;
}

static bool others_can_read(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && (status.st_mode & 0077) != 0;
}

void data_warn(const struct options *options, const struct secret *secret, const struct log *log)
{
    PH_AUTO_FREE char *file = data_path(options, "jwt_secret");
    if (secret->length < SECRET_BYTES_FEW) {
        log_write(log, LOG_CONFIG_WARNING,
                  LOG_TEXT("reason", "jwt_secret is short and may be guessed"),
                  LOG_INT("bytes", (int64_t)secret->length));
    }
    if (others_can_read(file)) {
        log_write(log, LOG_CONFIG_WARNING, LOG_TEXT("reason", "other users can read it: chmod 600"),
                  LOG_TEXT("file", file));
    }
    if (others_can_read(option_text(options, OPTION_DATA))) {
        log_write(log, LOG_CONFIG_WARNING,
                  LOG_TEXT("reason", "other users can look into it: chmod 700"),
                  LOG_TEXT("directory", option_text(options, OPTION_DATA)));
    }
}

enum ph_error data_master_key(const char *path, struct diag *diag, struct secret *ret_master)
{
    if (path[0] == '\0') {
        *ret_master = SECRET_NONE;
        return PH_OK;
    }
    char content[MASTER_KEY_FILE_MAX];
    uint8_t key[SEAL_KEY_BYTES];
    size_t length = 0;
    struct diag reason = {0};
    enum ph_error error = file_read_private(path, content, sizeof content, &reason, &length);
    if (error == PH_OK) {
        error = seal_key_parse((struct slice){content, length}, &reason, key);
    }
    secret_wipe(content, sizeof content);
    if (error != PH_OK) {
        return diag_set(diag, error, "master_key_file", "master key file %s: %s", path,
                        reason.text);
    }
    *ret_master = secret_new(key, sizeof key);
    secret_wipe(key, sizeof key);
    return PH_OK;
}

enum ph_error data_lock(const struct options *options, struct diag *diag, int *ret_fd)
{
    PH_AUTO_FREE char *path = data_path(options, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return diag_set(diag, PH_IO, "data", "cannot open %s: %s", path, strerrordesc_np(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return diag_set(diag, PH_CONFLICT, "data",
                        "another server is running on the data directory %s",
                        option_text(options, OPTION_DATA));
    }
    *ret_fd = fd;
    return PH_OK;
}

void token_append(const struct secret *secret, const char *org, const char *application,
                  int64_t now_us, int64_t expires_us, struct buf *text)
{
    char unique[2 * 16 + 1];
    (void)snprintf(unique, sizeof unique, "%016llx%016llx", (unsigned long long)random_u64(),
                   (unsigned long long)random_u64());
    const struct jwt_claims claims = {
        .iss = SLICE_LITERAL("svix-server"),
        .sub = slice_of(application == NULL ? org : application),
        .org = application == NULL ? SLICE_NONE : slice_of(org),
        .jti = application == NULL ? SLICE_NONE : slice_of(unique),
        .iat_ms = application == NULL ? now_us / CLOCK_US_PER_S * 1000 : now_us / 1000,
        .nbf_s = now_us / CLOCK_US_PER_S,
        .exp_s = expires_us / CLOCK_US_PER_S,
    };
    const struct jwt_key key = {JWT_HS256, {(const char *)secret->bytes, secret->length}};
    jwt_sign(&key, &claims, text);
}
