"""MCP through the client of FastMCP, in both eras, over HTTP and stdio. What the servers are: see checks.py."""

import logging
import os
from pathlib import Path

import anyio
import httpx2
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.messages import MessageHandler
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from fastmcp.exceptions import ToolError
from fastmcp.utilities.json_schema_type import json_schema_to_type_adapter
from mcp import MCPError
from mcp.client.subscriptions import listen

import checks
from checks import BUSY, BUSY_KEY, ERAS, FUMEHOOD, MAIN, MAIN_KEY, MUCH_FUEL, STDIO, SUM, check, equal

NO_SUCH_RESOURCE = {"2026-07-28": -32602, "2025-11-25": -32002}
CONFIRMED = "[functions.add]\nrequires_confirmation = true\n"


def over_http(url, key, mode, note=None, **options):
    # A maker of HTTP clients takes the longer timeouts of this client away: only where responses are noted.
    make = (lambda **how: httpx2.AsyncClient(event_hooks={"response": [note]}, **how)) if note else None
    return Client(StreamableHttpTransport(f"{url}/mcp", auth=key, httpx_client_factory=make), mode=mode, **options)


def over_stdio(mode, env=None, **options):
    transport = StdioTransport(FUMEHOOD, STDIO, env=env, keep_alive=False, log_file=Path(os.devnull))
    return Client(transport, mode=mode, **options)


def on_change(do):
    class Handler(MessageHandler):
        async def on_tool_list_changed(self, message):
            do()

    return Handler()


FASTMCP = checks.Kind(
    page=lambda client, cursor: client.list_tools_mcp(cursor=cursor),
    call=lambda client, tool, arguments: client.call_tool(tool, arguments, raise_on_error=False),
    # The client itself cannot open this stream; its session can.
    listen=lambda client: listen(client.session, tools_list_changed=True),
    on_change=on_change,
)


async def of_its_own(name, client, version):
    """What this client does with the answers beyond handing them on."""
    with check(f"{name}: makes a type of Python from every schema of an output, and a value from an answer"):
        listed = await client.list_tools()
        equal([tool.name for tool in listed], [tool.name for tool in (await checks.all_tools(FASTMCP, client))[0]])
        for tool in listed:
            json_schema_to_type_adapter(tool.output_schema)
        equal((await client.call_tool(*SUM)).data.result, 42)
        options = {"measures": ["words", "lines"], "top_words": 1, "case": "fold"}
        data = (await client.call_tool("text-stats__analyse", {"text": "a cat\nA dog", "options": options})).data
        equal((data.words, data.lines, data.sentences, data.top_words), (4, 2, None, [("a", 2)]))
    with check(f"{name}: raises the tool's own error with its text"):
        try:
            raise AssertionError(f"answered {await client.call_tool('calculator__divide', {'a': 1, 'b': 0})}")
        except ToolError as error:
            equal(str(error), "division by zero")
    with check(f"{name}: lists no prompts where there are none, reads every resource, and an unknown one is an error"):
        equal((await client.list_prompts(), type(await client.list_resource_templates())), ([], list))
        for resource in await client.list_resources():
            equal([content.uri for content in await client.read_resource(resource.uri)], [resource.uri])
        try:
            raise AssertionError(f"read {await client.read_resource('test://nothing')}")
        except MCPError as error:
            equal((error.error.code, error.error.data), (NO_SUCH_RESOURCE[version], {"uri": "test://nothing"}))


async def confirmed(name, connect, mode):
    """A call that a person must confirm: this client shows the question, and a yes alone lets it through."""
    with check(f"{name}: asks its user about a call that must be confirmed, and nothing but a yes has it done"):
        await checks.put("danger", CONFIRMED)
        asked, answer = [], None

        async def user(message, form, params, context):
            asked.append(message)
            return ElicitResult(action="decline") if answer is None else form(confirm=answer)

        async with connect(mode, elicitation_handler=user) as client:
            for answer, result in [(True, {"result": 42}), (False, None), (None, None)]:
                done = await FASTMCP.call(client, "danger__add", SUM[1])
                equal((answer, done.is_error, done.structured_content), (answer, result is None, result))
        equal(asked, ['Run danger__add with {"a":2,"b":40}?'] * 3)
        async with connect(mode) as client:
            done = await FASTMCP.call(client, "danger__add", SUM[1])
            equal((done.is_error, done.meta["dev.fumehood/error"]), (True, "confirmation_required"))
    await checks.delete("danger")


async def main():
    ways = {"http": lambda mode, **options: over_http(MAIN, MAIN_KEY, mode, **options), "stdio": over_stdio}
    for mode, version in ERAS.items():
        for way, connect in ways.items():
            name = f"fastmcp {mode} over {way}"
            with check(f"{name}: connects and disconnects"):
                async with connect(mode) as client:
                    await checks.conversation(FASTMCP, name, client, version)
                    await of_its_own(name, client, version)
            if way == "http":
                await checks.refused(FASTMCP, name, lambda key, note: over_http(MAIN, key, mode, note))
                await checks.pages(FASTMCP, name, over_http(BUSY, BUSY_KEY, mode))
                await checks.cancelled_over_http(FASTMCP, name, over_http(BUSY, BUSY_KEY, mode))
            else:
                await checks.cancelled_over_stdio(FASTMCP, name, over_stdio(mode, env=MUCH_FUEL))
            await confirmed(name, connect, mode)
            await checks.list_changed(FASTMCP, name, connect, mode)


if __name__ == "__main__":
    # The client takes an accepted end of a session (202) for a failure and says so each time.
    logging.getLogger("mcp").setLevel(logging.ERROR)
    anyio.run(main)
