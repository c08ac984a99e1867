// The title of a web page. What it takes and answers stands in wit/world.wit; `fumehood build` declares it in build/tool.h.

#include "build/tool.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// How much of a page is looked at: its title stands at the beginning.
#define MOST (256 * 1024)

// What went wrong, with the URL before or after it.
static bool fails(tool_string_t *err, const char *before, tool_string_t *url, const char *after) {
    size_t room = strlen(before) + url->len + strlen(after) + 1;
    char *text = malloc(room);
    if (!text) abort();
    snprintf(text, room, "%s%.*s%s", before, (int)url->len, (char *)url->ptr, after);
    tool_string_set(err, text);
    return false;
}

static bool refused(tool_string_t *err, tool_string_t *url, uint8_t code) {
    if (code == WASI_HTTP_TYPES_ERROR_CODE_HTTP_REQUEST_DENIED) return fails(err, "the tool may not ask ", url, "");
    return fails(err, "", url, " cannot be reached");
}

// Where `word` stands in `text`, in capitals or not; null if it does not.
static char *find(char *text, const char *word) {
    for (; *text; text++) {
        if (strncasecmp(text, word, strlen(word)) == 0) return text;
    }
    return NULL;
}

// The page behind `url`, as text that ends with a zero.
static bool get(tool_string_t *url, char **page, tool_string_t *err) {
    char *text = (char *)url->ptr, *end = text + url->len;
    bool is_https = url->len > 8 && strncmp(text, "https://", 8) == 0;
    if (!is_https && !(url->len > 7 && strncmp(text, "http://", 7) == 0)) {
        tool_string_dup(err, "a URL begins with https:// or http://");
        return false;
    }
    char *host = text + (is_https ? 8 : 7), *path = host;
    while (path < end && *path != '/') path++;
    tool_string_t authority = {(uint8_t *)host, (size_t)(path - host)};
    tool_string_t rest = path < end ? (tool_string_t){(uint8_t *)path, (size_t)(end - path)} : (tool_string_t){(uint8_t *)"/", 1};
    wasi_http_types_scheme_t scheme = {.tag = is_https ? WASI_HTTP_TYPES_SCHEME_HTTPS : WASI_HTTP_TYPES_SCHEME_HTTP};

    wasi_http_types_own_outgoing_request_t request =
        wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
    wasi_http_types_borrow_outgoing_request_t lent = wasi_http_types_borrow_outgoing_request(request);
    if (!wasi_http_types_method_outgoing_request_set_scheme(lent, &scheme) ||
        !wasi_http_types_method_outgoing_request_set_authority(lent, &authority) ||
        !wasi_http_types_method_outgoing_request_set_path_with_query(lent, &rest)) {
        return fails(err, "", url, " is no URL");
    }
    wasi_http_outgoing_handler_own_future_incoming_response_t sent;
    wasi_http_outgoing_handler_error_code_t code;
    if (!wasi_http_outgoing_handler_handle(request, NULL, &sent, &code)) return refused(err, url, code.tag);

    wasi_http_types_borrow_future_incoming_response_t future = wasi_http_types_borrow_future_incoming_response(sent);
    wasi_http_types_own_pollable_t ready = wasi_http_types_method_future_incoming_response_subscribe(future);
    wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(ready));
    wasi_io_poll_pollable_drop_own(ready);
    wasi_http_types_result_result_own_incoming_response_error_code_void_t answer;
    if (!wasi_http_types_method_future_incoming_response_get(future, &answer) || answer.is_err) abort();
    if (answer.val.ok.is_err) return refused(err, url, answer.val.ok.val.err.tag);

    wasi_http_types_borrow_incoming_response_t response = wasi_http_types_borrow_incoming_response(answer.val.ok.val.ok);
    uint16_t status = wasi_http_types_method_incoming_response_status(response);
    if (status != 200) {
        char told[64];
        snprintf(told, sizeof told, "the page answered with the status %u", status);
        tool_string_dup(err, told);
        return false;
    }
    wasi_http_types_own_incoming_body_t body;
    wasi_http_types_own_input_stream_t stream;
    if (!wasi_http_types_method_incoming_response_consume(response, &body) ||
        !wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &stream)) {
        abort();
    }
    *page = calloc(MOST + 1, 1);
    if (!*page) abort();
    size_t length = 0;
    tool_list_u8_t piece;
    wasi_io_streams_stream_error_t closed;
    while (length < MOST && wasi_io_streams_method_input_stream_blocking_read(
                                wasi_io_streams_borrow_input_stream(stream), MOST - length, &piece, &closed)) {
        memcpy(*page + length, piece.ptr, piece.len);
        length += piece.len;
        tool_list_u8_free(&piece);
    }
    return true;
}

// Answers true and `ret`, or false and `err`. A call has an instance of its own: what it holds goes with it.
bool exports_tool_page_title(tool_string_t *url, tool_string_t *ret, tool_string_t *err) {
    char *page;
    if (!get(url, &page, err)) return false;
    char *title = find(page, "<title");
    title = title ? strchr(title, '>') : NULL;
    char *end = title ? find(title, "</title") : NULL;
    char *words = calloc(MOST + 1, 1), *last = words;
    if (!words) abort();
    for (char *letter = title; end && ++letter < end;) {
        bool is_space = isspace((unsigned char)*letter);
        if (!is_space) *last++ = *letter;
        else if (last > words && last[-1] != ' ') *last++ = ' ';
    }
    if (last > words && last[-1] == ' ') last--;
    if (last == words) {
        tool_string_dup(err, "the page has no title");
        return false;
    }
    *last = 0;
    tool_string_set(ret, words);
    return true;
}
