"""FastMCP with one tool, without sessions and answering in plain JSON."""

import uvicorn
from fastmcp import FastMCP

mcp = FastMCP("adder")


@mcp.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


uvicorn.run(mcp.http_app(stateless_http=True, json_response=True), port=0, log_level="info", access_log=False)
