// Makes slugs of titles. What it takes and answers stands in wit/world.wit; `fumehood build` declares it in build/tool.h.

#include "build/tool.h"

#include <ctype.h>
#include <stdlib.h>

// Answers true and `ret`, or false and `err`. Whoever answers with memory of malloc need not free it.
bool exports_tool_slug(tool_string_t *title, uint32_t *maybe_words, tool_string_t *ret, tool_string_t *err) {
    uint8_t *slug = malloc(title->len + 1);
    if (!slug) abort();
    size_t length = 0;
    uint32_t words = 0;
    bool in_word = false;
    for (size_t i = 0; i < title->len; i++) {
        uint8_t letter = title->ptr[i];
        bool is_kept = letter < 128 && isalnum(letter);
        if (is_kept && !in_word) {
            if (maybe_words && words == *maybe_words) break;
            if (words++) slug[length++] = '-';
        }
        if (is_kept) slug[length++] = (uint8_t)tolower(letter);
        in_word = is_kept;
    }
    if (words == 0 && !(maybe_words && *maybe_words == 0)) {
        tool_string_dup(err, "the title has no letter or digit of ASCII");
        return false;
    }
    ret->ptr = slug;
    ret->len = length;
    return true;
}
