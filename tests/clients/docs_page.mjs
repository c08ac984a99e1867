// The page at /docs in headless Chromium, as a person uses it, without a network.

import path from "node:path";
import { chromium } from "playwright-core";
import { check, equal, ok, passed, failed } from "./checks.mjs";

const { MAIN_URL, MAIN_KEY, PLACE, CHROMIUM } = process.env;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });

/** Uses the page in a browser of its own, and checks that it asked nobody but the server and complained of nothing. */
async function visit(name, address, use) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1000 } });
  const page = await context.newPage();
  const complaints = [];
  const elsewhere = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (request) => complaints.push(`${request.url()} ${request.failure()?.errorText}`));
  await page.exposeFunction("violated", (violation) => complaints.push(violation));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => window.violated(`CSP ${event.violatedDirective}: ${event.blockedURI}`));
  });
  await context.route("**", (route) => {
    const url = route.request().url();
    if (url.startsWith(`${MAIN_URL}/`) || url.startsWith("data:")) return route.continue();
    elsewhere.push(url);
    return route.abort();
  });
  await check(name, async () => {
    await page.goto(`${MAIN_URL}${address}`);
    await use(page);
  });
  await page.screenshot({ path: path.join(PLACE, `${name.replace(/\W+/g, "-")}.png`), fullPage: true });
  await context.close();
  const asked = `${name}, and nobody else is asked`;
  elsewhere.length ? failed(asked, elsewhere.join(", ")) : passed(asked);
  const quiet = `${name}, and the console stays empty`;
  complaints.length ? failed(quiet, complaints.join("; ")) : passed(quiet);
}

const operation = (page, id) => page.locator(`[id$="-${id}"].opblock`).first();

async function shows_tools(page) {
  for (const id of ["calculator__add", "text-stats__analyse"]) await operation(page, id).waitFor({ timeout: 20_000 });
}

async function add_2_and_40(page) {
  const add = operation(page, "calculator__add");
  await add.locator(".opblock-summary-control").click();
  await add.getByRole("button", { name: "Try it out" }).click();
  await add.locator("textarea.body-param__text").fill('{"a": 2, "b": 40}');
  await add.getByRole("button", { name: "Execute" }).click();
  const answer = add.locator(".live-responses-table .response");
  await answer.waitFor({ timeout: 20_000 });
  equal((await answer.locator(".response-col_status").first().innerText()).trim().slice(0, 3), "200");
  equal((await answer.locator(".highlight-code").first().innerText()).match(/-?\d+/)?.[0], "42");
}

await visit("docs with a key in the link: the tools are shown and one is tried out", `/docs#key=${MAIN_KEY}`, async (page) => {
  await shows_tools(page);
  ok(!page.url().includes(MAIN_KEY), `the key stays in the address: ${page.url()}`);
  await add_2_and_40(page);
});
await visit("docs without a key: asks for one, and shows the tools after it was entered", "/docs", async (page) => {
  await page.getByText("enter a key").waitFor({ timeout: 20_000 });
  await page.locator(".opblock").first().waitFor({ timeout: 20_000 });
  equal(await operation(page, "calculator__add").count(), 0);
  await page.getByLabel("Key", { exact: true }).fill(MAIN_KEY);
  await page.getByLabel("Key", { exact: true }).press("Enter");
  await shows_tools(page);
  await add_2_and_40(page);
});
await visit("docs after a reload: the key is still known in this tab", `/docs#key=${MAIN_KEY}`, async (page) => {
  await shows_tools(page);
  await page.reload();
  await shows_tools(page);
});
await browser.close();
