"""The title of a web page. What it takes and answers stands in wit/world.wit."""

import re

from componentize_py_types import Err
from wit_world.imports import outgoing_handler
from wit_world.imports.types import (
    ErrorCode_HttpRequestDenied,
    Fields,
    IncomingResponse,
    OutgoingRequest,
    Scheme_Http,
    Scheme_Https,
)


class WitWorld:
    def page_title(self, url: str) -> str:
        parts = re.match(r"(https?)://([^/?#]+)([^#]*)", url)
        if not parts:
            raise Err("a URL begins with https:// or http://")
        page = get(url, *parts.groups())
        title = re.search(r"<title[^>]*>([^<]*)</title", page, re.IGNORECASE)
        if not title or not title[1].strip():
            raise Err("the page has no title")
        return " ".join(title[1].split())


def get(url: str, scheme: str, authority: str, path: str) -> str:
    request = OutgoingRequest(Fields())
    request.set_scheme(Scheme_Https() if scheme == "https" else Scheme_Http())
    request.set_authority(authority)
    request.set_path_with_query(path if path.startswith("/") else f"/{path}")
    try:
        sent = outgoing_handler.handle(request, None)
    except Err as refused:
        raise told(url, refused.value)
    # What is made of another has to go before it: `with` sees to that.
    with sent:
        with sent.subscribe() as ready:
            ready.block()
        answer = sent.get().value
        if isinstance(answer, Err):
            raise told(url, answer.value)
        with answer.value as response:
            return text_of(response)


def text_of(response: IncomingResponse) -> str:
    if response.status() != 200:
        raise Err(f"the page answered with the status {response.status()}")
    page = bytearray()
    with response.consume() as body, body.stream() as stream:
        while True:
            try:
                page += stream.blocking_read(65536)
            except Err:
                break
    return page.decode(errors="replace")


def told(url: str, code: object) -> Err:
    """What goes wrong on the way, in words."""
    if isinstance(code, ErrorCode_HttpRequestDenied):
        return Err(f"the tool may not ask {url}")
    return Err(f"{url} cannot be reached: {code}")
