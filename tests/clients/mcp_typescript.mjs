// MCP through both TypeScript clients, in both eras, over HTTP and stdio. What the servers are: see checks.py.

import fs from "node:fs";
import * as v2 from "@modelcontextprotocol/client";
import * as v2stdio from "@modelcontextprotocol/client/stdio";
import { Client as V1Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as V1Stdio } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as V1Http } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ListToolsResultSchema, ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { check, equal, ok, until, within } from "./checks.mjs";

const env = process.env;
const MAIN = { url: env.MAIN_URL, key: env.MAIN_KEY };
const BUSY = { url: env.BUSY_URL, key: env.BUSY_KEY };
const ENDLESS = { name: "runaway__find-prime-gap", arguments: { start: 1 } };
const PATIENCE = 20;

const info = { name: "fumehood-tests", version: "1" };
const bearer = (key) => (key ? { authorization: `Bearer ${key}` } : {});
const v2Client = (versionNegotiation) => () => new v2.Client(info, versionNegotiation && { versionNegotiation });

/** The two packages differ in where things are and in few names; the conversation is the same. */
const V1 = {
  client: () => new V1Client(info),
  http: V1Http,
  stdio: V1Stdio,
  call: (client, request, options) => client.callTool(request, undefined, options),
  onListChanged: (client, heard) => client.setNotificationHandler(ToolListChangedNotificationSchema, heard),
  version: (client) => client.transport.protocolVersion,
};
const V2 = {
  http: v2.StreamableHTTPClientTransport,
  stdio: v2stdio.StdioClientTransport,
  call: (client, request, options) => client.callTool(request, options),
  onListChanged: (client, heard) => client.setNotificationHandler("notifications/tools/list_changed", heard),
  version: (client) => client.getNegotiatedProtocolVersion(),
};
const MODERN = "2026-07-28";
const LEGACY = "2025-11-25";
const CLIENTS = [
  { ...V1, name: "typescript sdk 1 legacy", speaks: LEGACY },
  { ...V2, name: "typescript client 2 auto", speaks: MODERN, client: v2Client({ mode: "auto" }) },
  { ...V2, name: "typescript client 2 pinned", speaks: MODERN, client: v2Client({ mode: { pin: MODERN } }) },
  { ...V2, name: "typescript client 2 legacy", speaks: LEGACY, client: v2Client() },
];

async function overHttp(kind, { url, key }, use) {
  const client = kind.client();
  await client.connect(new kind.http(new URL(`${url}/mcp`), { requestInit: { headers: bearer(key) } }));
  return use(client).finally(() => client.close());
}

async function overStdio(kind, extra, use) {
  const client = kind.client();
  const args = ["mcp", "--data-dir", env.MAIN_DATA, "--apis-dir", env.MAIN_APIS];
  const transport = new kind.stdio({ command: env.FUMEHOOD, args, env: { PATH: env.PATH, HOME: env.HOME, ...extra }, stderr: "ignore" });
  // The client of version 1 tells the version only to its transport, and this one does not keep it.
  transport.setProtocolVersion ??= (version) => (transport.protocolVersion = version);
  await client.connect(transport);
  return use(client, transport).finally(() => client.close());
}

/** Every page, and how many there were. */
async function allTools(client) {
  const tools = [];
  let [pages, cursor] = [0, undefined];
  do {
    // A request of its own for each page, whatever the client keeps or adds up by itself.
    const page = await client.request({ method: "tools/list", params: cursor ? { cursor } : {} }, ListToolsResultSchema);
    tools.push(...page.tools);
    [pages, cursor] = [pages + 1, page.nextCursor];
  } while (cursor);
  return { tools, pages };
}

async function conversation(kind, name, client) {
  await check(`${name}: negotiates ${kind.speaks}`, async () => equal(kind.version(client), kind.speaks));
  await check(`${name}: lists every tool once, in stable order, with object schemas for input and output`, async () => {
    const { tools } = await client.listTools();
    const names = tools.map((tool) => tool.name);
    equal((await allTools(client)).tools.map((tool) => tool.name), names);
    equal([...new Set(names)].sort(), names);
    for (const tool of ["calculator__add", "text-stats__analyse", "runaway__find-prime-gap"]) ok(names.includes(tool), names);
    for (const tool of tools) equal([tool.name, tool.inputSchema.type, tool.outputSchema?.type], [tool.name, "object", "object"]);
  });
  await check(`${name}: a call answers structured content and the same JSON as text`, async () => {
    const result = await kind.call(client, { name: "calculator__add", arguments: { a: 2, b: 40 } });
    equal([result.isError ?? false, result.structuredContent], [false, { result: 42 }]);
    equal(result.content.map((block) => JSON.parse(block.text)), [{ result: 42 }]);
  });
  await check(`${name}: records, flags, options and tuples cross both ways`, async () => {
    const options = { measures: ["words", "lines"], top_words: 1, case: "fold" };
    const result = await kind.call(client, { name: "text-stats__analyse", arguments: { text: "a cat\nA dog", options } });
    equal(result.structuredContent, { words: 4, lines: 2, top_words: [["a", 2]] });
  });
  await check(`${name}: the tool's own error is isError with its text`, async () => {
    const result = await kind.call(client, { name: "calculator__divide", arguments: { a: 1, b: 0 } });
    ok(result.isError === true && result.content[0].text.includes("zero"), result);
  });
  await check(`${name}: bad arguments are isError with every pointer`, async () => {
    const result = await kind.call(client, { name: "calculator__add", arguments: { a: "two", c: 1 } });
    ok(result.isError === true && ["/a:", "/b:", "/c:"].every((pointer) => result.content[0].text.includes(pointer)), result);
  });
  await check(`${name}: an unknown tool is an error of the protocol`, async () => {
    const error = await kind.call(client, { name: "calculator__ad", arguments: {} }).then((result) => ({ result }), (error) => error);
    ok(error.code === -32602 && error.message.includes("calculator__ad"), error.stack ?? error);
  });
  await check(`${name}: a tool that never ends is stopped, and told by its fuel`, async () => {
    const result = await kind.call(client, ENDLESS);
    ok(result.isError === true && result.content[0].text.includes("fuel"), result);
  });
}

async function listChanged(kind, name, connect) {
  const module = `${MAIN.url}/api/v1/modules/extra`;
  const headers = bearer(MAIN.key);
  await check(`${name}: hears of an upload`, () =>
    connect(async (client) => {
      const heard = new Promise((resolve) => kind.onListChanged(client, resolve));
      const before = (await allTools(client)).tools.map((tool) => tool.name);
      if (kind.speaks === MODERN) await client.listen({ toolsListChanged: true });
      // The stream of the older eras opens after the handshake, and nothing tells when.
      else await new Promise((resolve) => setTimeout(resolve, 500));
      const put = await fetch(module, { method: "PUT", headers, body: fs.readFileSync(env.EXTRA_COMPONENT) });
      ok(put.ok, await put.text());
      await within(PATIENCE, heard, "hearing of the upload");
      const added = (await allTools(client)).tools.map((tool) => tool.name).filter((tool) => !before.includes(tool));
      ok(added.length > 0 && added.every((tool) => tool.startsWith("extra__")), added);
    }),
  );
  await fetch(module, { method: "DELETE", headers });
}

async function givenUp(kind, client, isRunning) {
  const abort = new AbortController();
  const call = kind.call(client, ENDLESS, { signal: abort.signal });
  const early = call.then((result) => ok(false, result));
  await Promise.race([early, until(PATIENCE, isRunning, "the endless call runs")]);
  abort.abort("the test gives up");
  ok(await call.then(() => false, () => true), "the endless call answered");
  await until(3, async () => !(await isRunning()), "the endless call has ended");
  const sum = await kind.call(client, { name: "calculator__add", arguments: { a: 2, b: 40 } });
  equal(sum.structuredContent, { result: 42 });
}

async function http(kind) {
  const name = `${kind.name} over http`;
  await check(`${name}: connects and disconnects`, () => overHttp(kind, MAIN, (client) => conversation(kind, name, client)));
  for (const [what, key] of [["without a key", undefined], ["with a wrong key", "fh_0000000000000_wrong"]]) {
    await check(`${name}: ${what} is refused with 401`, async () => {
      const statuses = new Set();
      const noted = async (...request) => {
        const response = await fetch(...request);
        statuses.add(response.status);
        return response;
      };
      const client = kind.client();
      const transport = new kind.http(new URL(`${MAIN.url}/mcp`), { requestInit: { headers: bearer(key) }, fetch: noted });
      const let_in = await within(PATIENCE, client.connect(transport).then(() => true, () => false), "connecting");
      // A pinned client asks nothing before it is used.
      const listed = let_in && (await client.listTools().then(() => true, () => false));
      await client.close();
      equal([listed, [...statuses]], [false, [401]]);
    });
  }
  await check(`${name}: hundreds of tools come in pages, and one of the last page can be called`, () =>
    overHttp(kind, BUSY, async (client) => {
      const { tools, pages } = await allTools(client);
      const names = tools.map((tool) => tool.name);
      ok(pages > 1, `${names.length} tools came in ${pages} page`);
      equal([...new Set(names)].sort(), names);
      equal(names.filter((tool) => tool.startsWith("zz-")).length, 5 * Number(env.BUSY_COPIES));
      const last = names.findLast((tool) => tool.endsWith("__add"));
      equal((await kind.call(client, { name: last, arguments: { a: 2, b: 40 } })).structuredContent, { result: 42 });
    }),
  );
  await check(`${name}: a call that its client gives up ends at once on the server`, () =>
    overHttp(kind, BUSY, (client) =>
      givenUp(kind, client, async () => {
        const health = await fetch(`${BUSY.url}/api/v1/health/detailed`, { headers: bearer(BUSY.key) });
        return (await health.json()).calls_running > 0;
      }),
    ),
  );
  await listChanged(kind, name, (use) => overHttp(kind, MAIN, use));
}

async function stdio(kind) {
  const name = `${kind.name} over stdio`;
  await check(`${name}: connects and disconnects`, () => overStdio(kind, {}, (client) => conversation(kind, name, client)));
  if (fs.existsSync("/proc/self/stat")) {
    await check(`${name}: a call that its client gives up ends at once in the process`, () =>
      overStdio(kind, { FUMEHOOD_LIMITS__FUEL_UNITS: "10000000000000" }, (client, transport) =>
        givenUp(kind, client, () => computes(transport.pid)),
      ),
    );
  } else {
    console.log(`SKIPPED: ${name}: cancellation, because there is no /proc here to see whether the process still computes`);
  }
  await listChanged(kind, name, (use) => overStdio(kind, {}, use));
}

/**
 * Whether a thread of the process or of its workers wants the processor each time one looks. What share it gets depends
 * on what else runs.
 */
async function computes(process) {
  for (let look = 0; look < 5; look++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const threads = [process, ...children(process)].flatMap(tasks);
    if (!threads.some((task) => ofProc(`${task}/stat`).split(") ").at(-1).startsWith("R"))) return false;
  }
  return true;
}

function children(process) {
  return tasks(process).flatMap((task) => ofProc(`${task}/children`).split(" ").filter(Boolean));
}

function tasks(process) {
  try {
    return fs.readdirSync(`/proc/${process}/task`).map((task) => `/proc/${process}/task/${task}`);
  } catch {
    return []; // It has ended.
  }
}

function ofProc(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return ""; // It has ended.
  }
}

for (const kind of CLIENTS) {
  await http(kind);
  await stdio(kind);
}
process.exit(0);
