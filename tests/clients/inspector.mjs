// MCP Inspector's lint of the tool list: no schema that some host or model is known to stumble over.

import { spawnSync } from "node:child_process";
import { check, equal, ok } from "./checks.mjs";

const env = process.env;
const http = [`${env.MAIN_URL}/mcp`, "--transport", "http", "--header", `Authorization: Bearer ${env.MAIN_KEY}`];
const stdio = [env.FUMEHOOD, "mcp", "--data-dir", env.MAIN_DATA, "--apis-dir", env.MAIN_APIS];

function inspect(target, era, ...args) {
  const command = ["node_modules/.bin/mcp-inspector", "--cli", ...target, "--protocol-era", era, ...args];
  const options = { cwd: env.PLACE, encoding: "utf8", timeout: 60_000, env: { ...env, HOME: env.PLACE } };
  const { status, stdout, stderr } = spawnSync(process.execPath, command, options);
  return { status, stdout, stderr };
}

for (const [where, target] of [["http", http], ["stdio", stdio]]) {
  for (const era of ["modern", "legacy"]) {
    const name = `inspector ${era} over ${where}`;
    await check(`${name}: strict lint finds nothing in any schema`, () => {
      const { status, stdout, stderr } = inspect(target, era, "--method", "tools/list", "--strict");
      // A server on stdio logs there too.
      const found = stderr.split("\n").filter((line) => /lint|schema|warn|error/i.test(line));
      equal([status, found], [0, []]);
      ok(JSON.parse(stdout).tools.some((tool) => tool.name === "calculator__add"), stdout.slice(0, 500));
    });
  }
}
await check("inspector: calls a tool", () => {
  const args = ["--method", "tools/call", "--tool-name", "calculator__add", "--tool-arg", "a=2", "b=40"];
  const { status, stdout, stderr } = inspect(http, "auto", ...args);
  equal([status, stderr, JSON.parse(stdout).structuredContent], [0, "", { result: 42 }]);
});
