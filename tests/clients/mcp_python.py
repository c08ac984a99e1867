"""MCP through the Python `mcp` client, in both eras, over HTTP and stdio. What the servers are: see checks.py."""

import logging
import os
from contextlib import asynccontextmanager

import anyio
import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ToolListChangedNotification

import checks
from checks import BUSY, BUSY_KEY, ERAS, FUMEHOOD, MAIN, MAIN_KEY, MUCH_FUEL, STDIO, bearer, check


@asynccontextmanager
async def over_http(url, key, mode, note=None, **options):
    hooks = {"response": [note] if note else []}
    async with httpx2.AsyncClient(headers=bearer(key), timeout=60, event_hooks=hooks) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport, mode=mode, **options) as client:
            yield client


@asynccontextmanager
async def over_stdio(mode, env=None, **options):
    parameters = StdioServerParameters(command=FUMEHOOD, args=STDIO, env=env)
    with open(os.devnull, "w") as nothing:
        async with Client(stdio_client(parameters, errlog=nothing), mode=mode, **options) as client:
            yield client


def on_change(do):
    async def handler(message):
        if isinstance(message, ToolListChangedNotification):
            do()

    return handler


MCP = checks.Kind(
    page=lambda client, cursor: client.list_tools(cursor=cursor, cache_mode="bypass"),
    call=lambda client, tool, arguments: client.call_tool(tool, arguments),
    listen=lambda client: client.listen(tools_list_changed=True),
    on_change=on_change,
)


async def main():
    for mode, version in ERAS.items():
        name = f"python mcp {mode} over http"
        with check(f"{name}: connects and disconnects"):
            async with over_http(MAIN, MAIN_KEY, mode) as client:
                await checks.conversation(MCP, name, client, version)
        await checks.refused(MCP, name, lambda key, note: over_http(MAIN, key, mode, note))
        await checks.pages(MCP, name, over_http(BUSY, BUSY_KEY, mode))
        await checks.cancelled_over_http(MCP, name, over_http(BUSY, BUSY_KEY, mode))
        await checks.list_changed(MCP, name, lambda mode, **options: over_http(MAIN, MAIN_KEY, mode, **options), mode)
    for mode in ["auto", "legacy"]:
        name = f"python mcp {mode} over stdio"
        with check(f"{name}: connects and disconnects"):
            async with over_stdio(mode) as client:
                await checks.conversation(MCP, name, client, ERAS[mode])
        await checks.cancelled_over_stdio(MCP, name, over_stdio(mode, env=MUCH_FUEL))
        await checks.list_changed(MCP, name, over_stdio, mode)


if __name__ == "__main__":
    # The client takes an accepted end of a session (202) for a failure and says so each time.
    logging.getLogger("mcp").setLevel(logging.ERROR)
    anyio.run(main)
