/* SPDX-License-Identifier: Apache-2.0 */
#include "app/preview.h"

#include <stdint.h>

/* The longest escape. */
#define ESCAPE_MAX 16

struct range {
    uint32_t first;
    uint32_t last;
};

/* What a terminal may take for a command, and what makes a line look like another one. */
static const struct range escaped[] = {
    {0x00, 0x1f},     {0x7f, 0x9f},     {0x061c, 0x061c}, {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff},
};

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* The bytes of the character at the front; 0 when it is none. */
static size_t read_character(struct slice text, uint32_t *ret_character)
{
    unsigned char lead = (unsigned char)text.ptr[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length == 0 || length > text.len || lead > 0xf4) {
        return 0;
    }
    uint32_t character = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t index = 1; index < length; index++) {
        unsigned char byte = (unsigned char)text.ptr[index];
        if ((byte & 0xc0u) != 0x80u) {
            return 0;
        }
        character = character << 6 | (byte & 0x3fu);
    }
    *ret_character = character;
    return length;
}

static bool is_escaped(uint32_t character)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(escaped); index++) {
        if (character >= escaped[index].first && character <= escaped[index].last) {
            return true;
        }
    }
    return false;
}

/* The next piece as it is shown, and how much of the text it stands for. */
static size_t take_piece(struct slice text, char shown[ESCAPE_MAX], size_t *ret_length)
{
    size_t used = 0;
    while (used < text.len && is_space(text.ptr[used])) {
        used++;
    }
    if (used > 0) {
        shown[0] = ' ';
        *ret_length = 1;
        return used;
    }
    uint32_t character;
    used = read_character(text, &character);
    if (used == 0) {
        *ret_length = (size_t)snprintf(shown, ESCAPE_MAX, "\\x%02x", (unsigned char)text.ptr[0]);
        return 1;
    }
    if (is_escaped(character)) {
        *ret_length = (size_t)snprintf(shown, ESCAPE_MAX, character < 0x80 ? "\\x%02x" : "\\u%04x",
                                       character);
        return used;
    }
    memcpy(shown, text.ptr, used);
    *ret_length = used;
    return used;
}

void preview_append(struct buf *line, struct slice text, size_t max_bytes)
{
    size_t written = 0;
    while (text.len > 0) {
        char shown[ESCAPE_MAX];
        size_t length;
        size_t used = take_piece(text, shown, &length);
        if (length > max_bytes - written) {
            buf_append_text(line, "…");
            return;
        }
        buf_append_slice(line, (struct slice){shown, length});
        written += length;
        text = (struct slice){text.ptr + used, text.len - used};
    }
}
