/* SPDX-License-Identifier: Apache-2.0 */
/* Reading values of a PGresult in binary format (PostgreSQL's send functions). */
#include "db/postgres_int.h"

#include <endian.h>

/* Fixed numbers of pg_type.dat; they never change. */
enum {
    TYPE_BOOL = 16,
    TYPE_NAME = 19,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_OID = 26,
    TYPE_JSON = 114,
    TYPE_FLOAT4 = 700,
    TYPE_BPCHAR = 1042,
    TYPE_VARCHAR = 1043,
    TYPE_NUMERIC = 1700,
};

#define NUMERIC_HEADER_WORDS 4
#define NUMERIC_BASE 10000
#define NUMERIC_POSITIVE 0x0000
#define NUMERIC_NEGATIVE 0x4000

static uint16_t read_16(const char *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return be16toh(value);
}

static uint32_t read_32(const char *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return be32toh(value);
}

static uint64_t read_64(const char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return be64toh(value);
}

/* Words: count of digits, weight of the first (powers of 10000), sign, scale, then the digits. */
struct numeric {
    int count;
    int weight;
    bool is_negative;
    const char *digits;
};

static struct numeric read_numeric(const char *bytes)
{
    uint16_t sign = read_16(bytes + 4);
    /* The other signs are NaN and the infinities, which no sum of ours can be. */
    PH_ASSERT(sign == NUMERIC_POSITIVE || sign == NUMERIC_NEGATIVE);
    return (struct numeric){
        .count = read_16(bytes),
        .weight = (int16_t)read_16(bytes + 2),
        .is_negative = sign == NUMERIC_NEGATIVE,
        .digits = bytes + NUMERIC_HEADER_WORDS * sizeof(uint16_t),
    };
}

static int64_t numeric_to_int64(const char *bytes)
{
    struct numeric numeric = read_numeric(bytes);
    int64_t value = 0;
    for (int place = 0; place <= numeric.weight; place++) {
        int64_t digit = place < numeric.count ? read_16(numeric.digits + 2 * (size_t)place) : 0;
        bool is_out = __builtin_mul_overflow(value, NUMERIC_BASE, &value) ||
                      __builtin_add_overflow(value, numeric.is_negative ? -digit : digit, &value);
        PH_ASSERT(!is_out);
    }
    return value;
}

static double numeric_to_double(const char *bytes)
{
    struct numeric numeric = read_numeric(bytes);
    double value = 0;
    for (int place = 0; place < numeric.count; place++) {
        value = value * NUMERIC_BASE + read_16(numeric.digits + 2 * (size_t)place);
    }
    for (int power = numeric.weight - numeric.count + 1; power != 0; power += power < 0 ? 1 : -1) {
        value = power < 0 ? value / NUMERIC_BASE : value * NUMERIC_BASE;
    }
    return numeric.is_negative ? -value : value;
}

static double read_double(const char *bytes)
{
    uint64_t bits = read_64(bytes);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float read_float(const char *bytes)
{
    uint32_t bits = read_32(bytes);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

int64_t postgres_value_int64(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column)) {
        return 0;
    }
    const char *bytes = PQgetvalue(result, row, column);
    switch ((int)PQftype(result, column)) {
    case POSTGRES_TYPE_INT8:
        return (int64_t)read_64(bytes);
    case TYPE_INT4:
        return (int32_t)read_32(bytes);
    case TYPE_INT2:
        return (int16_t)read_16(bytes);
    case TYPE_OID:
        return read_32(bytes);
    case TYPE_BOOL:
        return bytes[0] != 0;
    case TYPE_NUMERIC:
        return numeric_to_int64(bytes);
    case POSTGRES_TYPE_FLOAT8:
        return (int64_t)read_double(bytes);
    default:
        PH_ASSERT(false); /* the column is not a number */
        return 0;
    }
}

double postgres_value_double(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column)) {
        return 0;
    }
    const char *bytes = PQgetvalue(result, row, column);
    switch ((int)PQftype(result, column)) {
    case POSTGRES_TYPE_FLOAT8:
        return read_double(bytes);
    case TYPE_FLOAT4:
        return (double)read_float(bytes);
    case TYPE_NUMERIC:
        return numeric_to_double(bytes);
    default:
        return (double)postgres_value_int64(result, row, column);
    }
}

struct slice postgres_value_bytes(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column)) {
        return SLICE_NONE;
    }
    switch ((int)PQftype(result, column)) {
    case POSTGRES_TYPE_TEXT:
    case POSTGRES_TYPE_BYTEA:
    case TYPE_VARCHAR:
    case TYPE_BPCHAR:
    case TYPE_NAME:
    case TYPE_JSON:
        return (struct slice){PQgetvalue(result, row, column),
                              (size_t)PQgetlength(result, row, column)};
    default:
        PH_ASSERT(false); /* the column is neither text nor bytea */
        return SLICE_NONE;
    }
}
