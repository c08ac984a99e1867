"""MCP through the Python `mcp` client, in both eras, over HTTP and stdio.

Servers come from `run` in the environment: MAIN has the tools of the demo, BUSY also hundreds of others and so much fuel that a call
ends only when its client cancels it.
"""

import json
import logging
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ToolListChangedNotification

from checks import check, equal, skipped

MAIN, MAIN_KEY = os.environ["MAIN_URL"], os.environ["MAIN_KEY"]
BUSY, BUSY_KEY = os.environ["BUSY_URL"], os.environ["BUSY_KEY"]
EXTRA = Path(os.environ["EXTRA_COMPONENT"])
ERAS = {"auto": "2026-07-28", "2026-07-28": "2026-07-28", "legacy": "2025-11-25"}
PATIENCE = 20
ENDLESS = ("runaway__find-prime-gap", {"start": 1})


def bearer(key):
    return {"authorization": f"Bearer {key}"} if key else {}


@asynccontextmanager
async def over_http(url, key, mode, **options):
    async with httpx2.AsyncClient(headers=bearer(key), timeout=60) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport, mode=mode, **options) as client:
            yield client


@asynccontextmanager
async def over_stdio(mode, env=None, **options):
    arguments = ["mcp", "--data-dir", os.environ["MAIN_DATA"], "--apis-dir", os.environ["MAIN_APIS"]]
    parameters = StdioServerParameters(command=os.environ["FUMEHOOD"], args=arguments, env=env)
    with open(os.devnull, "w") as nothing:
        async with Client(stdio_client(parameters, errlog=nothing), mode=mode, **options) as client:
            yield client


async def all_tools(client):
    """Every page, and how many there were."""
    tools, pages, cursor = [], 0, None
    while True:
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        tools, pages, cursor = [*tools, *page.tools], pages + 1, page.next_cursor
        if cursor is None:
            return tools, pages


async def tools(name, client, version):
    """What a conversation about the tools of the demo looks like."""
    with check(f"{name}: negotiates {version}"):
        equal(client.protocol_version, version)
    with check(f"{name}: lists every tool once, in stable order, with object schemas for input and output"):
        listed, _ = await all_tools(client)
        again, _ = await all_tools(client)
        names = [tool.name for tool in listed]
        equal([tool.name for tool in again], names)
        equal(names, sorted(set(names)))
        assert {"calculator__add", "text-stats__analyse", "runaway__find-prime-gap"} <= set(names), names
        for tool in listed:
            equal((tool.name, tool.input_schema.get("type")), (tool.name, "object"))
            equal((tool.name, (tool.output_schema or {}).get("type")), (tool.name, "object"))
    with check(f"{name}: a call answers structured content and the same JSON as text"):
        result = await client.call_tool("calculator__add", {"a": 2, "b": 40})
        equal((result.is_error, result.structured_content), (False, {"result": 42}))
        equal([json.loads(block.text) for block in result.content], [{"result": 42}])
    with check(f"{name}: records, flags, options and tuples cross both ways"):
        options = {"measures": ["words", "lines"], "top_words": 1, "case": "fold"}
        result = await client.call_tool("text-stats__analyse", {"text": "a cat\nA dog", "options": options})
        equal(result.structured_content, {"words": 4, "lines": 2, "top_words": [["a", 2]]})
        equal([json.loads(block.text) for block in result.content], [result.structured_content])
    with check(f"{name}: the tool's own error is isError with its text"):
        result = await client.call_tool("calculator__divide", {"a": 1, "b": 0})
        equal(result.is_error, True)
        assert "zero" in result.content[0].text, result.content
    with check(f"{name}: bad arguments are isError with every pointer"):
        result = await client.call_tool("calculator__add", {"a": "two", "c": 1})
        equal(result.is_error, True)
        for pointer in ["/a", "/b", "/c"]:
            assert f"{pointer}:" in result.content[0].text, result.content[0].text
    with check(f"{name}: an unknown tool is an error of the protocol"):
        try:
            unexpected = await client.call_tool("calculator__ad", {})
            raise AssertionError(f"answered {unexpected}")
        except MCPError as error:
            equal(error.error.code, -32602)
            assert "calculator__ad" in error.error.message, error.error.message
    with check(f"{name}: a tool that never ends is stopped, and told by its fuel"):
        result = await client.call_tool(*ENDLESS)
        equal(result.is_error, True)
        assert "fuel" in result.content[0].text, result.content


async def list_changed(name, connect, mode):
    """An upload to MAIN is heard by a client that is connected."""
    with check(f"{name}: hears of an upload"):
        heard = anyio.Event()

        async def on_message(message):
            if isinstance(message, ToolListChangedNotification):
                heard.set()

        async with connect(mode, message_handler=on_message) as client:
            before, _ = await all_tools(client)
            with anyio.fail_after(PATIENCE):
                if mode == "legacy":
                    await anyio.sleep(0.5)  # The stream that carries it opens after the handshake, and nothing tells when.
                    await put_extra()
                    await heard.wait()
                else:
                    async with client.listen(tools_list_changed=True) as events:
                        await put_extra()
                        await anext(aiter(events))
            after, _ = await all_tools(client)
            new = {tool.name for tool in after} - {tool.name for tool in before}
            assert new and all(tool.startswith("extra__") for tool in new), new
    async with httpx2.AsyncClient(headers=bearer(MAIN_KEY)) as http:
        await http.delete(f"{MAIN}/api/v1/modules/extra")


async def put_extra():
    async with httpx2.AsyncClient(headers=bearer(MAIN_KEY), timeout=60) as http:
        answer = await http.put(f"{MAIN}/api/v1/modules/extra", content=EXTRA.read_bytes())
        assert answer.status_code in (200, 201), answer.text


async def cancel_call(client, is_running):
    """Start a call that never ends, give it up, and tell after how many seconds it had ended."""

    async def call():
        result = await client.call_tool(*ENDLESS)
        raise AssertionError(f"the endless call answered {result}")

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await until(is_running, True)
        group.cancel_scope.cancel()
    started = time.monotonic()
    await until(is_running, False)
    return time.monotonic() - started


async def until(is_running, wanted):
    with anyio.fail_after(PATIENCE):
        while await is_running() is not wanted:
            await anyio.sleep(0.05)


async def cancelled_over_http(name, mode):
    with check(f"{name}: a call that its client gives up ends at once on the server"):
        async with httpx2.AsyncClient(headers=bearer(BUSY_KEY)) as http:

            async def is_running():
                return (await http.get(f"{BUSY}/api/v1/health/detailed")).json()["calls_running"] > 0

            async with over_http(BUSY, BUSY_KEY, mode) as client:
                seconds = await cancel_call(client, is_running)
                assert seconds < 3, f"ended only after {seconds:.1f} s"
                result = await client.call_tool("calculator__add", {"a": 2, "b": 40})
                equal(result.structured_content, {"result": 42})


async def cancelled_over_stdio(name, mode):
    if not Path("/proc/self/task").exists():
        return skipped(f"{name}: cancellation", "there is no /proc here to see whether the process still computes")
    with check(f"{name}: a call that its client gives up ends at once in the process"):
        async with over_stdio(mode, env={"FUMEHOOD_LIMITS__FUEL_UNITS": "10000000000000"}) as client:
            process = next(child for child in children(os.getpid()) if "fumehood" in Path(f"/proc/{child}/comm").read_text())

            seconds = await cancel_call(client, lambda: computes(process))
            assert seconds < 3, f"ended only after {seconds:.1f} s"
            result = await client.call_tool("calculator__add", {"a": 2, "b": 40})
            equal(result.structured_content, {"result": 42})


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


async def pages(name, mode):
    with check(f"{name}: hundreds of tools come in pages, and one of the last page can be called"):
        async with over_http(BUSY, BUSY_KEY, mode) as client:
            listed, count = await all_tools(client)
            names = [tool.name for tool in listed]
            assert count > 1, f"{len(names)} tools came in {count} page"
            equal(names, sorted(set(names)))
            assert len([tool for tool in names if tool.startswith("zz-")]) == 5 * int(os.environ["BUSY_COPIES"]), names
            result = await client.call_tool(next(tool for tool in reversed(names) if tool.endswith("__add")), {"a": 2, "b": 40})
            equal(result.structured_content, {"result": 42})


async def refused(name, mode):
    for what, key in [("without a key", None), ("with a wrong key", "fh_0000000000000_wrong")]:
        with check(f"{name}: {what} is refused with 401"):
            statuses = []

            async def note(response):
                statuses.append(response.status_code)

            async with httpx2.AsyncClient(headers=bearer(key), event_hooks={"response": [note]}) as http:
                try:
                    with anyio.fail_after(PATIENCE):
                        async with Client(streamable_http_client(f"{MAIN}/mcp", http_client=http), mode=mode) as client:
                            await client.list_tools()
                    raise AssertionError("the client was let in")
                except* MCPError:
                    pass
            assert statuses and set(statuses) == {401}, statuses


async def main():
    for mode, version in ERAS.items():
        name = f"python mcp {mode} over http"
        with check(f"{name}: connects and disconnects"):
            async with over_http(MAIN, MAIN_KEY, mode) as client:
                await tools(name, client, version)
        await refused(name, mode)
        await pages(name, mode)
        await cancelled_over_http(name, mode)
        await list_changed(name, lambda mode, **options: over_http(MAIN, MAIN_KEY, mode, **options), mode)
    for mode in ["auto", "legacy"]:
        name = f"python mcp {mode} over stdio"
        with check(f"{name}: connects and disconnects"):
            async with over_stdio(mode) as client:
                await tools(name, client, ERAS[mode])
        await cancelled_over_stdio(name, mode)
        await list_changed(name, over_stdio, mode)


if __name__ == "__main__":
    # The client takes an accepted end of a session (202) for a failure and says so each time.
    logging.getLogger("mcp").setLevel(logging.ERROR)
    anyio.run(main)
