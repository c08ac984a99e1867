// What the tool does. What it takes and answers stands in wit/world.wit.

export function greet(name, maybeTimes) {
  const times = maybeTimes ?? 1;
  // What is thrown is the error that the caller gets.
  if (times < 1) throw "say how often: 1 or more";
  if (times > 100) throw `${times} times is too often`;
  return Array(times).fill(`Hello, ${name}!`).join(" ");
}
