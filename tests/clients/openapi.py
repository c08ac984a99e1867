"""The OpenAPI document: a public validator accepts it, a client generated from it works, and requests made up from it find no surprise."""

import base64
import builtins
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
from openapi_spec_validator import OpenAPIV31SpecValidator

from checks import check, equal

URL, KEY, PLACE = os.environ["MAIN_URL"], os.environ["MAIN_KEY"], Path(os.environ["PLACE"])
SECONDS = os.environ.get("FUMEHOOD_SCHEMATHESIS_SECONDS", "60")
BIN = Path(sys.executable).parent
HEADERS = {"authorization": f"Bearer {KEY}"}
GENERATED = "generated_python"


def tool_paths(document):
    return {path for path, item in document["paths"].items() if "Agentic" in item.get("post", {}).get("tags", [])}


def validated():
    with check("openapi: openapi-spec-validator accepts the document, which has every tool"):
        document = httpx.get(f"{URL}/openapi.json", headers=HEADERS).json()
        equal(document["openapi"][:4], "3.1.")
        OpenAPIV31SpecValidator(document).validate()
        tools = httpx.get(f"{URL}/api/v1/tools?limit=500", headers=HEADERS).json()["tools"]
        direct = {f"/api/{tool['module']}/{tool['function']}" for tool in tools}
        equal(tool_paths(document), direct | {f"{path}/queue" for path in direct})
    with check("openapi: without a key the document is valid and has no tools"):
        public = httpx.get(f"{URL}/openapi.json").json()
        OpenAPIV31SpecValidator(public).validate()
        equal(tool_paths(public), set())
    with check("openapi: a wrong key is told so"):
        equal(httpx.get(f"{URL}/openapi.json", headers={"x-api-key": "fh_0000000000000_wrong"}).status_code, 401)
    (PLACE / "openapi.json").write_text(json.dumps(document))
    return document


def generated_client(document):
    with check("openapi-python-client: every operation of the document becomes a function"):
        command = [BIN / "openapi-python-client", "generate", "--path", PLACE / "openapi.json", "--meta", "none", "--output-path", PLACE / GENERATED]
        env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        done = subprocess.run(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        equal(done.returncode, 0)
        functions = [path for path in (PLACE / GENERATED / "api").glob("*/*.py") if path.stem != "__init__"]
        equal(len(functions), sum(len(item) for item in document["paths"].values()))
    sys.path.insert(0, str(PLACE))
    client = part("client").AuthenticatedClient(base_url=URL, token=KEY, raise_on_unexpected_status=True)
    with check("openapi-python-client: a function answers"):
        body = part("models").CalculatorAddJsonBody(a=2, b=40)
        equal(part("api.calculator.calculator_add").sync(client=client, body=body), 42)
    with check("openapi-python-client: records, flags, enums, options and tuples cross both ways"):
        models = part("models")
        options = {"measures": ["words", "lines"], "top_words": 1, "case": "fold"}
        body = models.TextStatsAnalyseJsonBody(text="a cat\nA dog", options=models.TextStatsAnalyseJsonBodyOptions.from_dict(options))
        report = part("api.text_stats.text_stats_analyse").sync(client=client, body=body)
        equal((report.words, report.lines, report.top_words), (4, 2, [["a", 2]]))
        equal(bool(report.characters), False)
    with check("openapi-python-client: bytes cross"):
        models = part("models")
        body = models.MandelbrotRenderJsonBody(width=4, height=3, center=models.MandelbrotRenderJsonBodyCenter(re=0, im=0), scale=1, max_iterations=9)
        png = part("api.mandelbrot.mandelbrot_render").sync(client=client, body=body)
        equal(base64.b64decode(png, validate=True)[:8], b"\x89PNG\r\n\x1a\n")
    with check("openapi-python-client: the tool's own error is a typed problem"):
        problem = part("api.calculator.calculator_divide").sync(client=client, body=part("models").CalculatorDivideJsonBody(a=1, b=0))
        equal((problem.status, problem.error), (422, "tool_error"))
    with check("openapi-python-client: a component is uploaded, shown and removed"):
        # The generator forgets to import this name where a body has several types and there is no optional parameter.
        builtins.Unset = part("types").Unset
        component = part("types").File(payload=open(os.environ["EXTRA_COMPONENT"], "rb"))
        made = part("api.modules.put_module").sync_detailed("generated", client=client, body=component)
        equal(made.status_code, 201)
        shown = part("api.modules.show_module").sync("generated", client=client)
        equal({function.name for function in shown.functions} >= {"add", "divide"}, True)
        equal(part("api.modules.remove_module").sync_detailed("generated", client=client).status_code, 204)


def part(name):
    return importlib.import_module(f"{GENERATED}.{name}")


def made_up_requests(document):
    """Schemathesis makes requests from the document, right and wrong ones, and holds the answers against it."""
    # It turns `prefixItems` of an answer into what its own validator refuses as a schema. Requests keep theirs.
    answers = [operation["responses"] for item in document["paths"].values() for operation in item.values()]
    shared = [schema for name, schema in document["components"]["schemas"].items() if ".output." in name]
    without_prefix_items([answers, shared])
    # It cannot make WebAssembly; the server takes both types.
    document["paths"]["/api/v1/modules/{module}"]["put"]["requestBody"]["content"].pop("application/wasm")
    (PLACE / "made-up.json").write_text(json.dumps(document))
    # Calls may set bounds so low that they are stopped, which is what 504, 507 and 508 tell.
    config = '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", 504, 507, 508]\n'
    (PLACE / "schemathesis.toml").write_text(config)
    command = [
        BIN / "schemathesis", "--config-file", PLACE / "schemathesis.toml", "run", PLACE / "made-up.json", "--url", URL,
        "-H", f"Authorization: Bearer {KEY}", "--max-time", SECONDS, "--request-timeout", "60", "--continue-on-failure",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        # Removing would take away what others test, `runaway` costs a second a call.
        "--exclude-method", "DELETE", "--exclude-path-regex", "^/api/runaway/",
        "--warnings", "off", "--no-color", "--report", "json", "--report-json-path", PLACE / "made-up-report.json",
    ]  # fmt: skip
    with check(f"schemathesis: {SECONDS} s of made-up requests are answered as the document says"):
        done = subprocess.run(command, cwd=PLACE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        (PLACE / "made-up.log").write_text(done.stdout)
        found = done.stdout.partition("= ERRORS =")[2] or done.stdout.partition("= FAILURES =")[2] or done.stdout[-1000:]
        assert done.returncode == 0, found
    with check("schemathesis: the server answers as before afterwards"):
        equal(httpx.post(f"{URL}/api/calculator/add", headers=HEADERS, json={"a": 2, "b": 40}).json(), 42)


def without_prefix_items(schema):
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    if isinstance(schema, dict) and isinstance(schema.get("prefixItems"), list):
        del schema["prefixItems"]
    for part_of_it in inner:
        without_prefix_items(part_of_it)


if __name__ == "__main__":
    document = validated()
    generated_client(document)
    made_up_requests(document)
