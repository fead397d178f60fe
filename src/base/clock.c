/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    PH_ASSERT(clock_gettime(clock, &now) == 0);
    return (int64_t)now.tv_sec * CLOCK_US_PER_S + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_boot_us(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_thread_us(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

bool clock_process_us(pid_t pid, int64_t *ret_us)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return false;
    }
    *ret_us = (int64_t)used.tv_sec * CLOCK_US_PER_S + used.tv_nsec / 1000;
    return true;
}

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    PH_ASSERT(pthread_condattr_init(&attributes) == 0);
    PH_ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    PH_ASSERT(pthread_cond_init(cond, &attributes) == 0);
    PH_ASSERT(pthread_condattr_destroy(&attributes) == 0);
}

struct timespec clock_deadline(int64_t wait_us)
{
    struct timespec until;
    PH_ASSERT(wait_us >= 0 && clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    int64_t nanoseconds = until.tv_nsec + wait_us % CLOCK_US_PER_S * 1000;
    until.tv_sec += wait_us / CLOCK_US_PER_S + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    return until;
}

static void put_digits(char *target, int count, int value)
{
    for (int index = count - 1; index >= 0; index--) {
        target[index] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_format(int64_t wall_us, char ret_text[CLOCK_TEXT_MAX])
{
    int64_t fraction = wall_us % CLOCK_US_PER_S;
    if (fraction < 0) {
        fraction += CLOCK_US_PER_S;
    }
    time_t seconds = (time_t)((wall_us - fraction) / CLOCK_US_PER_S);
    struct tm parts;
    PH_ASSERT(gmtime_r(&seconds, &parts) != NULL);
    memcpy(ret_text, "0000-00-00T00:00:00.000000Z", sizeof "0000-00-00T00:00:00.000000Z");
    put_digits(ret_text, 4, parts.tm_year + 1900);
    put_digits(ret_text + 5, 2, parts.tm_mon + 1);
    put_digits(ret_text + 8, 2, parts.tm_mday);
    put_digits(ret_text + 11, 2, parts.tm_hour);
    put_digits(ret_text + 14, 2, parts.tm_min);
    put_digits(ret_text + 17, 2, parts.tm_sec);
    put_digits(ret_text + 20, 6, (int)fraction);
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar (months counted from March). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2 ? 1 : 0;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool make_time(const int64_t parts[6], int64_t fraction_us, int64_t offset_s,
                      int64_t *ret_wall_us)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = parts[0];
    int64_t month = parts[1];
    if (year < 1 || month < 1 || month > 12 || parts[2] < 1 || parts[3] > 23 || parts[4] > 59 ||
        parts[5] > 60) {
        return false;
    }
    int days = month_days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
    if (parts[2] > days) {
        return false;
    }
    int64_t seconds = days_of(year, month, parts[2]) * 86400 + parts[3] * 3600 + parts[4] * 60 +
                      parts[5] - offset_s;
    *ret_wall_us = seconds * CLOCK_US_PER_S + fraction_us;
    return true;
}

/* Takes exactly `count` digits off the front. */
static bool take_digits(struct slice *text, size_t count, int64_t *ret_value)
{
    int64_t value = 0;
    if (text->len < count) {
        return false;
    }
    for (size_t index = 0; index < count; index++) {
        char byte = text->ptr[index];
        if (byte < '0' || byte > '9') {
            return false;
        }
        value = value * 10 + (byte - '0');
    }
    text->ptr += count;
    text->len -= count;
    *ret_value = value;
    return true;
}

static bool take_one_of(struct slice *text, const char *bytes, char *ret_byte)
{
    if (text->len == 0 || text->ptr[0] == '\0' || strchr(bytes, text->ptr[0]) == NULL) {
        return false;
    }
    *ret_byte = text->ptr[0];
    text->ptr++;
    text->len--;
    return true;
}

static bool take_fraction(struct slice *text, int64_t *ret_us)
{
    char dot;
    *ret_us = 0;
    if (!take_one_of(text, ".", &dot)) {
        return true;
    }
    int64_t scale = 100000;
    size_t digits = 0;
    while (text->len > 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9') {
        *ret_us += (text->ptr[0] - '0') * scale;
        scale /= 10;
        digits++;
        text->ptr++;
        text->len--;
    }
    return digits > 0;
}

static bool take_offset(struct slice *text, int64_t *ret_offset_s)
{
    char sign;
    if (!take_one_of(text, "Zz+-", &sign)) {
        return false;
    }
    *ret_offset_s = 0;
    if (sign == 'Z' || sign == 'z') {
        return true;
    }
    int64_t hours;
    int64_t minutes;
    char colon;
    if (!take_digits(text, 2, &hours) || !take_one_of(text, ":", &colon) ||
        !take_digits(text, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *ret_offset_s = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    return true;
}

bool clock_parse(struct slice text, int64_t *ret_wall_us)
{
    int64_t parts[6];
    int64_t fraction;
    int64_t offset;
    char separator;
    if (!take_digits(&text, 4, &parts[0]) || !take_one_of(&text, "-", &separator) ||
        !take_digits(&text, 2, &parts[1]) || !take_one_of(&text, "-", &separator) ||
        !take_digits(&text, 2, &parts[2]) || !take_one_of(&text, "Tt ", &separator) ||
        !take_digits(&text, 2, &parts[3]) || !take_one_of(&text, ":", &separator) ||
        !take_digits(&text, 2, &parts[4]) || !take_one_of(&text, ":", &separator) ||
        !take_digits(&text, 2, &parts[5]) || !take_fraction(&text, &fraction) ||
        !take_offset(&text, &offset) || text.len != 0) {
        return false;
    }
    return make_time(parts, fraction, offset, ret_wall_us);
}

static bool month_number(const char *name, int64_t *ret_month)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int64_t month = 0; month < 12; month++) {
        if (memcmp(months + month * 3, name, 3) == 0) {
            *ret_month = month + 1;
            return true;
        }
    }
    return false;
}

bool clock_parse_http_date(struct slice text, int64_t now_wall_us, int64_t *ret_wall_us)
{
    char copy[48];
    char name[4];
    int year;
    int day;
    int hour;
    int minute;
    int second;
    int used = 0;
    if (text.len == 0 || text.len >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (sscanf(copy, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &day, name, &year, &hour,
               &minute, &second, &used) != 6 ||
        used == 0) {
        used = 0;
        if (sscanf(copy, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &day, name, &year,
                   &hour, &minute, &second, &used) == 6 &&
            used != 0) {
            /* RFC 9110: a two-digit year more than 50 years ahead is in the past. */
            int64_t this_year = 1970 + now_wall_us / CLOCK_US_PER_S / 31556952;
            year += (int)(this_year / 100 * 100);
            year -= year > this_year + 50 ? 100 : 0;
        } else {
            used = 0;
            if (sscanf(copy, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", name, &day, &hour,
                       &minute, &second, &year, &used) != 6) {
                return false;
            }
        }
    }
    int64_t month;
    if ((size_t)used != text.len || strlen(name) != 3 || !month_number(name, &month) || day < 1 ||
        hour < 0 || minute < 0 || second < 0) {
        return false;
    }
    const int64_t parts[6] = {year, month, day, hour, minute, second};
    return make_time(parts, 0, 0, ret_wall_us);
}
