"""FastMCP with one tool (and as many in all as it is told), without sessions and answering in plain JSON."""

import sys

import uvicorn
from fastmcp import FastMCP

mcp = FastMCP("adder")


@mcp.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


for number in range(1, int(sys.argv[1]) if len(sys.argv) > 1 else 1):
    mcp.tool(add, name=f"add_{number:04}")

uvicorn.run(mcp.http_app(stateless_http=True, json_response=True), port=0, log_level="info", access_log=False)
