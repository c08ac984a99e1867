// Makes slugs of titles. What it takes and answers stands in wit/world.wit.

export function slug(title, maybeWords) {
  const words = title.toLowerCase().match(/[a-z0-9]+/g);
  // What is thrown is the error that the caller gets.
  if (!words) throw "the title has no letter or digit of ASCII";
  return words.slice(0, maybeWords ?? words.length).join("-");
}
