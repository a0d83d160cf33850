// The Markdown that models write: paragraphs, headings, lists, code, bold and italics. Links stay text: a page that shows a model's
// words should not lead away by them. Elements are built, never parsed from HTML.

import { element } from "./element.js";

const FENCE = /^```/;
const HEADING = /^(#{1,4}) +(.*)$/;
const BULLET = /^\s*[-*+] +(.*)$/;
const NUMBER = /^\s*(\d+)[.)] +(.*)$/;
const INLINE = /(`[^`\n]+`|\*\*[^*\n]+\*\*|(?<![\w*])\*[^*\s][^*\n]*\*(?![\w*]))/;

/** The blocks of a text. */
export function blocks(text) {
  const lines = text.split("\n");
  const found = [];
  while (lines.length) {
    if (!lines[0].trim()) lines.shift();
    else if (FENCE.test(lines[0])) found.push(code(lines));
    else if (HEADING.test(lines[0])) found.push(element("p", { class: "heading" }, ...inline(lines.shift().match(HEADING)[2])));
    else if (BULLET.test(lines[0])) found.push(list("ul", lines, BULLET, 1));
    else if (NUMBER.test(lines[0])) found.push(list("ol", lines, NUMBER, 2));
    else found.push(paragraph(lines));
  }
  return found;
}

function code(lines) {
  lines.shift();
  const inside = takeWhile(lines, (line) => !FENCE.test(line));
  lines.shift();
  return element("pre", { tabindex: "0" }, element("code", {}, inside.join("\n")));
}

function list(name, lines, item, group) {
  const start = name === "ol" ? lines[0].match(item)[1] : null;
  const items = takeWhile(lines, (line) => item.test(line)).map((line) => element("li", {}, ...inline(line.match(item)[group])));
  return element(name, { start }, ...items);
}

function paragraph(lines) {
  const starts = [FENCE, HEADING, BULLET, NUMBER];
  const inside = [lines.shift(), ...takeWhile(lines, (line) => line.trim() && !starts.some((start) => start.test(line)))];
  return element("p", {}, ...inline(inside.join("\n").trim()));
}

function takeWhile(lines, good) {
  const end = lines.findIndex((line) => !good(line));
  return lines.splice(0, end === -1 ? lines.length : end);
}

function inline(text) {
  return text.split(INLINE).map((piece, index) => {
    if (index % 2 === 0) return piece;
    if (piece.startsWith("`")) return element("code", {}, piece.slice(1, -1));
    if (piece.startsWith("**")) return element("strong", {}, piece.slice(2, -2));
    return element("em", {}, piece.slice(1, -1));
  });
}
