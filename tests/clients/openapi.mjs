// The OpenAPI document, seen by tools of the TypeScript world: two validators, and a typed client made from it.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import SwaggerParser from "@apidevtools/swagger-parser";
import { check, equal } from "./checks.mjs";

const env = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
const DOCUMENT = path.join(env.PLACE, "openapi-node.json");

/** Runs a program of the packages; what it printed is in the error when it fails. */
function run(program, ...args) {
  try {
    return execFileSync(process.execPath, [program, ...args], { cwd: env.PLACE, env, encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    throw new Error(`${program} ended with ${error.status}: ${error.stdout} ${error.stderr}`);
  }
}

const response = await fetch(`${env.MAIN_URL}/openapi.json`, { headers: { "x-api-key": env.MAIN_KEY } });
fs.writeFileSync(DOCUMENT, await response.text());

await check("swagger-parser: accepts the document", async () => void (await SwaggerParser.validate(DOCUMENT)));
await check("redocly: lints the document without an error or a warning", () => {
  const report = JSON.parse(run("node_modules/.bin/redocly", "lint", "--format=json", DOCUMENT));
  equal([report.totals, report.problems.map((problem) => problem.message)], [{ errors: 0, warnings: 0, ignored: 0 }, []]);
});
await check("openapi-typescript: a typed client compiles, and only with the right arguments", () => {
  run("node_modules/.bin/openapi-typescript", DOCUMENT, "--output", "generated.d.ts");
  const strict = ["--strict", "--target", "es2022", "--module", "nodenext", "--outDir", "compiled", "--lib", "es2022,dom,dom.iterable"];
  fs.writeFileSync(path.join(env.PLACE, "package.json"), JSON.stringify({ type: "module" }));
  run("node_modules/.bin/tsc", ...strict, "openapi_client.ts");
});
await check("openapi-typescript: the typed client is answered right", () => {
  const answers = JSON.parse(run("compiled/openapi_client.js"));
  equal(answers, { sum: 42, words: 4, top: ["a", 2], code: "tool_error", wrong: 422 });
});
