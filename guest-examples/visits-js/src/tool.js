// Counts visits. What it takes and answers stands in wit/world.wit.

import { open } from "wasi:keyvalue/store@0.2.0-draft2";

export function visit(page) {
  if (!page || page.length > 100) throw "a page has a name of 1 to 100 characters";
  const bucket = answered(() => open("visits"));
  const before = answered(() => bucket.get(page));
  const visits = (before ? Number(String.fromCharCode(...before)) : 0) + 1;
  answered(() => bucket.set(page, Uint8Array.from(String(visits), (digit) => digit.charCodeAt(0))));
  return visits;
}

// What goes wrong on the way is told in words.
function answered(ask) {
  try {
    return ask();
  } catch (error) {
    const why = error?.payload?.tag ?? error?.tag;
    throw why === "access-denied" ? "the tool may not use the bucket `visits`" : `the bucket: ${why ?? error}`;
  }
}
