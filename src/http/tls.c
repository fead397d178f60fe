/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/secret.h"
#include "http/server_int.h"

#define PEM_MAX_BYTES ((size_t)1024 * 1024)

enum ph_error http_tls_read(const char *path, struct diag *diag, char **ret_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return diag_set(diag, PH_IO, NULL, "could not open %s: %s", path, strerror(errno));
    }
    char *text = ph_malloc(PEM_MAX_BYTES + 1);
    size_t length = 0;
    ssize_t got = 0;
    while (length < PEM_MAX_BYTES && ((got = read(fd, text + length, PEM_MAX_BYTES - length)) > 0 ||
                                      (got < 0 && errno == EINTR))) {
        length += got > 0 ? (size_t)got : 0;
    }
    int reason = errno;
    (void)close(fd);
    if (got != 0) {
        secret_wipe(text, length);
        free(text);
        return diag_set(diag, PH_IO, NULL, "could not read %s: %s", path,
                        got < 0 ? strerror(reason) : "it is larger than 1 MiB");
    }
    text[length] = '\0';
    *ret_text = text;
    return PH_OK;
}
