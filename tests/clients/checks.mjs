// What every script of node here prints: one line a check, which `run` counts.

import { isDeepStrictEqual } from "node:util";

const line = (text) => String(text).split("\n").join(" | ").slice(0, 1500);

export const failed = (name, why) => console.log(`FAIL ${name}: ${line(why)}`);
export const passed = (name) => console.log(`PASS ${name}`);

/** A failure inside is reported and does not keep the next check from running. */
export async function check(name, body) {
  try {
    await within(60, body(), "the check");
    passed(name);
  } catch (error) {
    failed(name, error?.stack ?? error);
  }
}

export function ok(condition, otherwise) {
  if (!condition) throw new Error(typeof otherwise === "string" ? otherwise : JSON.stringify(otherwise));
}

export function equal(actual, expected) {
  ok(isDeepStrictEqual(actual, expected), `${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`);
}

export function within(seconds, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export async function until(seconds, condition, what) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    ok(Date.now() < end, `${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
