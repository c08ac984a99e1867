"""What the Python scripts here share: one line a check, which `run` counts, and what is asked of every client of MCP.

Servers come from `run` in the environment: MAIN has the tools of the demo, BUSY also hundreds of others and so much fuel that a call
ends only when its client cancels it.
"""

import contextlib
import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import anyio
import httpx2
from mcp import MCPError

MAIN, MAIN_KEY = os.environ["MAIN_URL"], os.environ["MAIN_KEY"]
BUSY, BUSY_KEY = os.environ["BUSY_URL"], os.environ["BUSY_KEY"]
FUMEHOOD = os.environ["FUMEHOOD"]
STDIO = ["mcp", "--data-dir", os.environ["MAIN_DATA"], "--apis-dir", os.environ["MAIN_APIS"]]
MUCH_FUEL = {"FUMEHOOD_LIMITS__FUEL_UNITS": "10000000000000"}
EXTRA = Path(os.environ["EXTRA_COMPONENT"])
ERAS = {"auto": "2026-07-28", "2026-07-28": "2026-07-28", "legacy": "2025-11-25"}
PATIENCE = 20
ENDLESS = ("runaway__find-prime-gap", {"start": 1})
SUM = ("calculator__add", {"a": 2, "b": 40})


def passed(name: str) -> None:
    print(f"PASS {name}", flush=True)


def failed(name: str, why: object) -> None:
    print(f"FAIL {name}: {' | '.join(str(why).splitlines())[:1500]}", flush=True)


def skipped(name: str, why: str) -> None:
    print(f"SKIPPED: {name}, because {why}", flush=True)


@contextlib.contextmanager
def check(name: str):
    """A failure inside is reported and does not keep the next check from running."""
    try:
        yield
    except Exception as error:  # A check may fail in any way there is; `run` must hear of each.
        causes = [f"{type(e).__name__}: {e}" for e in unrolled(error)]
        where = traceback.extract_tb(error.__traceback__)[-1]
        failed(name, f"{'; '.join(causes)} (line {where.lineno} of {where.name})")
    else:
        passed(name)


def unrolled(error: BaseException):
    """The failures inside a group of failures."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from unrolled(inner)
    else:
        yield error


def equal(actual: object, expected: object) -> None:
    assert actual == expected, f"{actual!r} is not {expected!r}"


class Kind(NamedTuple):
    """The clients differ in few names; what is checked is the same."""

    # From a client and a cursor to one page of tools.
    page: Callable
    # From a client, a tool and its arguments to the result, also that of a failure.
    call: Callable
    # From a client to a stream of what has changed; there is none in the older eras.
    listen: Callable
    # From what to do when tools have changed to what the client takes as `message_handler`.
    on_change: Callable


def bearer(key):
    return {"authorization": f"Bearer {key}"} if key else {}


async def all_tools(kind, client):
    """Every page, and how many there were."""
    tools, pages, cursor = [], 0, None
    while True:
        page = await kind.page(client, cursor)
        tools, pages, cursor = [*tools, *page.tools], pages + 1, page.next_cursor
        if cursor is None:
            return tools, pages


async def conversation(kind, name, client, version):
    """What a conversation about the tools of the demo looks like."""
    with check(f"{name}: negotiates {version}"):
        equal(client.protocol_version, version)
    with check(f"{name}: lists every tool once, in stable order, with object schemas for input and output"):
        listed, _ = await all_tools(kind, client)
        again, _ = await all_tools(kind, client)
        names = [tool.name for tool in listed]
        equal([tool.name for tool in again], names)
        equal(names, sorted(set(names)))
        assert {"calculator__add", "text-stats__analyse", "runaway__find-prime-gap"} <= set(names), names
        for tool in listed:
            equal((tool.name, tool.input_schema.get("type")), (tool.name, "object"))
            equal((tool.name, (tool.output_schema or {}).get("type")), (tool.name, "object"))
    with check(f"{name}: a call answers structured content and the same JSON as text"):
        result = await kind.call(client, *SUM)
        equal((result.is_error, result.structured_content), (False, {"result": 42}))
        equal([json.loads(block.text) for block in result.content], [{"result": 42}])
    with check(f"{name}: records, flags, options and tuples cross both ways"):
        options = {"measures": ["words", "lines"], "top_words": 1, "case": "fold"}
        result = await kind.call(client, "text-stats__analyse", {"text": "a cat\nA dog", "options": options})
        equal(result.structured_content, {"words": 4, "lines": 2, "top_words": [["a", 2]]})
        equal([json.loads(block.text) for block in result.content], [result.structured_content])
    with check(f"{name}: the tool's own error is isError with its text"):
        result = await kind.call(client, "calculator__divide", {"a": 1, "b": 0})
        equal(result.is_error, True)
        assert "zero" in result.content[0].text, result.content
    with check(f"{name}: bad arguments are isError with every pointer"):
        result = await kind.call(client, "calculator__add", {"a": "two", "c": 1})
        equal(result.is_error, True)
        for pointer in ["/a", "/b", "/c"]:
            assert f"{pointer}:" in result.content[0].text, result.content[0].text
    with check(f"{name}: an unknown tool is an error of the protocol"):
        try:
            unexpected = await kind.call(client, "calculator__ad", {})
            raise AssertionError(f"answered {unexpected}")
        except MCPError as error:
            equal(error.error.code, -32602)
            assert "calculator__ad" in error.error.message, error.error.message
    with check(f"{name}: a tool that never ends is stopped, and told by its fuel"):
        result = await kind.call(client, *ENDLESS)
        equal(result.is_error, True)
        assert "fuel" in result.content[0].text, result.content


async def list_changed(kind, name, connect, mode):
    """An upload to MAIN is heard by a client that is connected."""
    with check(f"{name}: hears of an upload"):
        heard = anyio.Event()
        async with connect(mode, message_handler=kind.on_change(heard.set)) as client:
            before, _ = await all_tools(kind, client)
            with anyio.fail_after(PATIENCE):
                if mode == "legacy":
                    await anyio.sleep(0.5)  # The stream that carries it opens after the handshake, and nothing tells when.
                    await put("extra")
                else:
                    async with kind.listen(client) as events:
                        await put("extra")
                        await anext(aiter(events))
                await heard.wait()
            after, _ = await all_tools(kind, client)
            new = {tool.name for tool in after} - {tool.name for tool in before}
            assert new and all(tool.startswith("extra__") for tool in new), new
    await delete("extra")


async def put(module, manifest=None):
    """Upload a component to MAIN."""
    component = EXTRA.read_bytes()
    body = {"files": {"component": component, "manifest": manifest}} if manifest else {"content": component}
    async with httpx2.AsyncClient(headers=bearer(MAIN_KEY), timeout=60) as http:
        answer = await http.put(f"{MAIN}/api/v1/modules/{module}", **body)
        assert answer.status_code in (200, 201), answer.text


async def delete(module):
    async with httpx2.AsyncClient(headers=bearer(MAIN_KEY), timeout=60) as http:
        await http.delete(f"{MAIN}/api/v1/modules/{module}")


async def given_up(kind, client, is_running):
    """Start a call that never ends, give it up, and see it end; the next call is answered."""

    async def call():
        result = await kind.call(client, *ENDLESS)
        raise AssertionError(f"the endless call answered {result}")

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await until(is_running, True)
        group.cancel_scope.cancel()
    started = time.monotonic()
    await until(is_running, False)
    seconds = time.monotonic() - started
    assert seconds < 3, f"ended only after {seconds:.1f} s"
    equal((await kind.call(client, *SUM)).structured_content, {"result": 42})


async def until(is_running, wanted):
    with anyio.fail_after(PATIENCE):
        while await is_running() is not wanted:
            await anyio.sleep(0.05)


async def cancelled_over_http(kind, name, connection):
    """`connection` leads to BUSY."""
    with check(f"{name}: a call that its client gives up ends at once on the server"):
        async with httpx2.AsyncClient(headers=bearer(BUSY_KEY)) as http:

            async def is_running():
                return (await http.get(f"{BUSY}/api/v1/health/detailed")).json()["calls_running"] > 0

            async with connection as client:
                await given_up(kind, client, is_running)


async def cancelled_over_stdio(kind, name, connection):
    """`connection` starts a process with much fuel."""
    if not Path("/proc/self/task").exists():
        return skipped(f"{name}: cancellation", "there is no /proc here to see whether the process still computes")
    with check(f"{name}: a call that its client gives up ends at once in the process"):
        async with connection as client:
            started = [child for child in children(os.getpid()) if is_server(child)]
            equal(len(started), 1)
            await given_up(kind, client, lambda: computes(started[0]))


def is_server(process):
    # The system keeps 15 bytes of a name.
    return Path(f"/proc/{process}/comm").read_text().strip() == Path(FUMEHOOD).name[:15]


def children(process):
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            yield from (task / "children").read_text().split()
        except OSError:
            pass  # The thread has ended.


async def computes(process):
    """Whether a thread of the process or of its workers wants the processor each time one looks.

    What share it gets depends on what else runs.
    """
    for _ in range(5):
        await anyio.sleep(0.02)
        threads = [task for one in [process, *children(process)] for task in Path(f"/proc/{one}/task").glob("*")]
        if not any(is_runnable(task / "stat") for task in threads):
            return False
    return True


def is_runnable(stat):
    try:
        return stat.read_text().rpartition(") ")[2].startswith("R")
    except OSError:
        return False  # It has ended.


async def pages(kind, name, connection):
    """`connection` leads to BUSY."""
    with check(f"{name}: hundreds of tools come in pages, and one of the last page can be called"):
        async with connection as client:
            listed, count = await all_tools(kind, client)
            names = [tool.name for tool in listed]
            assert count > 1, f"{len(names)} tools came in {count} page"
            equal(names, sorted(set(names)))
            assert len([tool for tool in names if tool.startswith("zz-")]) == 5 * int(os.environ["BUSY_COPIES"]), names
            last = next(tool for tool in reversed(names) if tool.endswith("__add"))
            equal((await kind.call(client, last, SUM[1])).structured_content, {"result": 42})


async def refused(kind, name, connect):
    """`connect` takes a key and what to do with each response."""
    for what, key in [("without a key", None), ("with a wrong key", "fh_0000000000000_wrong")]:
        with check(f"{name}: {what} is refused with 401"):
            statuses = []

            async def note(response):
                statuses.append(response.status_code)

            try:
                with anyio.fail_after(PATIENCE):
                    async with connect(key, note) as client:
                        await kind.page(client, None)
                raise AssertionError("the client was let in")
            except* MCPError:
                pass
            assert statuses and set(statuses) == {401}, statuses
