// A program on the types that openapi-typescript generated. That it compiles is half of the test; it prints what it was answered.

import createClient from "openapi-fetch";
import type { paths } from "./generated.js";

declare const process: { env: Record<string, string> };

const client = createClient<paths>({ baseUrl: process.env.MAIN_URL, headers: { authorization: `Bearer ${process.env.MAIN_KEY}` } });

const sum = await client.POST("/api/calculator/add", { body: { a: 2, b: 40 } });
const analysis = await client.POST("/api/text-stats/analyse", {
  body: { text: "a cat\nA dog", options: { measures: ["words", "lines"], top_words: 1, case: "fold" } },
});
const top: (string | number)[] | undefined = analysis.data?.top_words[0];
const refused = await client.POST("/api/calculator/divide", { body: { a: 1, b: 0 } });
const code: string | undefined = refused.error?.error;
// @ts-expect-error A wrong argument does not compile.
const wrong = await client.POST("/api/calculator/add", { body: { a: "two", c: 1 } });

console.log(JSON.stringify({ sum: sum.data, words: analysis.data?.words, top, code, wrong: wrong.response.status }));
