// What the tool does. What it takes and answers stands in wit/world.wit; `fumehood build` declares it in build/tool.h.

#include "build/tool.h"

#include <stdio.h>
#include <stdlib.h>

// Answers true and `ret`, or false and `err`. Whoever answers with memory of malloc need not free it.
bool exports_tool_greet(tool_string_t *name, uint32_t *maybe_times, tool_string_t *ret, tool_string_t *err) {
    uint32_t times = maybe_times ? *maybe_times : 1;
    if (times < 1) {
        tool_string_dup(err, "say how often: 1 or more");
        return false;
    }
    if (times > 100) {
        char text[64];
        snprintf(text, sizeof text, "%u times is too often", times);
        tool_string_dup(err, text);
        return false;
    }
    size_t room = times * (name->len + sizeof " Hello, !");
    char *text = malloc(room), *end = text;
    if (!text) abort();
    for (uint32_t i = 0; i < times; i++) {
        size_t left = room - (size_t)(end - text);
        end += snprintf(end, left, "%sHello, %.*s!", i ? " " : "", (int)name->len, (char *)name->ptr);
    }
    ret->ptr = (uint8_t *)text;
    ret->len = (size_t)(end - text);
    return true;
}
