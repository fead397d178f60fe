/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a schema of draft 7 looks like, as a schema, so that references to the meta-schema need no
 * network. It says what json-schema.org/draft-07/schema says, in words of our own.
 */
#include "core/schema_int.h"

const char schema_meta_uri[] = "http://json-schema.org/draft-07/schema";

#define SELF "{\"$ref\":\"#\"}"
#define SCHEMAS "{\"type\":\"array\",\"minItems\":1,\"items\":" SELF "}"
#define MAP_OF(schema) "{\"type\":\"object\",\"additionalProperties\":" schema "}"
#define SIZE "{\"type\":\"integer\",\"minimum\":0}"
#define TEXT "{\"type\":\"string\"}"
#define TEXTS "{\"type\":\"array\",\"uniqueItems\":true,\"items\":" TEXT "}"
#define NUMBER "{\"type\":\"number\"}"
#define BOOLEAN "{\"type\":\"boolean\"}"
#define SOME_TYPE                                                                                  \
    "{\"enum\":[\"array\",\"boolean\",\"integer\",\"null\",\"number\",\"object\",\"string\"]}"

const char schema_meta_text[] =
    "{\"$id\":\"http://json-schema.org/draft-07/schema#\",\"type\":[\"object\",\"boolean\"],"
    "\"properties\":{"
    "\"$id\":" TEXT ",\"$schema\":" TEXT ",\"$ref\":" TEXT ",\"$comment\":" TEXT ",\"title\":" TEXT
    ",\"description\":" TEXT ",\"readOnly\":" BOOLEAN ",\"examples\":{\"type\":\"array\"}"
    ",\"multipleOf\":{\"type\":\"number\",\"exclusiveMinimum\":0}"
    ",\"maximum\":" NUMBER ",\"exclusiveMaximum\":" NUMBER ",\"minimum\":" NUMBER
    ",\"exclusiveMinimum\":" NUMBER ",\"maxLength\":" SIZE ",\"minLength\":" SIZE
    ",\"pattern\":" TEXT ",\"additionalItems\":" SELF ",\"items\":{\"anyOf\":[" SELF "," SCHEMAS
    "]}"
    ",\"maxItems\":" SIZE ",\"minItems\":" SIZE ",\"uniqueItems\":" BOOLEAN ",\"contains\":" SELF
    ",\"maxProperties\":" SIZE ",\"minProperties\":" SIZE ",\"required\":" TEXTS
    ",\"additionalProperties\":" SELF ",\"definitions\":" MAP_OF(SELF) ",\"properties\":" MAP_OF(
        SELF) ",\"patternProperties\":" MAP_OF(SELF) ",\"dependencies\":" MAP_OF("{\"anyOf\":[" SELF
                                                                                 "," TEXTS
                                                                                 "]}") ",\"property"
                                                                                       "Names\""
                                                                                       ":" SELF
                                                                                       ",\"enum\":{"
                                                                                       "\"type\":"
                                                                                       "\"array\"}"
                                                                                       ",\"type\":{"
                                                                                       "\"anyOf\":"
                                                                                       "[" SOME_TYPE
                                                                                       ",{\"type\":"
                                                                                       "\"array\","
                                                                                       "\"minItems"
                                                                                       "\":1,"
                                                                                       "\"uniqueIte"
                                                                                       "ms\":true,"
                                                                                       "\"items\""
                                                                                       ":" SOME_TYPE
                                                                                       "}]}"
                                                                                       ",\"format\""
                                                                                       ":" TEXT
                                                                                       ",\"contentM"
                                                                                       "ediaType\""
                                                                                       ":" TEXT
                                                                                       ",\"contentE"
                                                                                       "ncoding\""
                                                                                       ":" TEXT
                                                                                       ",\"if\""
                                                                                       ":" SELF
                                                                                       ",\"then\""
                                                                                       ":" SELF
                                                                                       ",\"else\""
                                                                                       ":" SELF
                                                                                       ",\"allOf\""
                                                                                       ":" SCHEMAS
                                                                                       ",\"anyOf\""
                                                                                       ":" SCHEMAS
                                                                                       ",\"oneOf\""
                                                                                       ":" SCHEMAS
                                                                                       ",\"not\""
                                                                                       ":" SELF
                                                                                       "}}";
