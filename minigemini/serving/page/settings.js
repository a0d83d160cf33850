// The settings, folded away in the composer; they hold for all that is sent from this browser until they are changed.

import { byId } from "./element.js";

const NUMBERS = ["count", "steps", "guidance", "seed", "temperature", "top_p", "max_tokens"];
const TEXTS = ["system", "action", "size", "negative_prompt", "stop"];

const field = (name) => byId("settings").elements[name];

/** What is set; null: as the server has it. Throws an Error with words for the user if a field holds what it cannot. */
export function settingsNow() {
  const set = { draw: byId("draw").value };
  for (const name of [...TEXTS, ...NUMBERS]) {
    if (!field(name).checkValidity()) {
      show(true);
      field(name).focus();
      throw new Error(`${field(name).labels[0].firstChild.data}: ${field(name).validationMessage}`);
    }
    const text = field(name).value.trim();
    set[name] = text === "" ? null : NUMBERS.includes(name) ? Number(text) : text;
  }
  return set;
}

function show(open) {
  byId("settings").hidden = !open;
  byId("show-settings").setAttribute("aria-expanded", open);
}

/** Whether something is set that is out of sight. */
function mark() {
  const set = [...TEXTS, ...NUMBERS].some((name) => field(name).value.trim() !== "");
  byId("show-settings").classList.toggle("set", set);
  byId("draw").closest(".pill").classList.toggle("set", byId("draw").value !== "auto");
}

export function startSettings() {
  const kept = JSON.parse(localStorage.getItem("settings") ?? "{}");
  for (const name of [...TEXTS, ...NUMBERS]) field(name).value = kept[name] ?? "";
  byId("draw").value = kept.draw ?? "auto";
  const keepThem = () => {
    const values = Object.fromEntries([...TEXTS, ...NUMBERS].map((name) => [name, field(name).value]));
    localStorage.setItem("settings", JSON.stringify({ ...values, draw: byId("draw").value }));
    mark();
  };
  byId("settings").addEventListener("input", keepThem);
  byId("draw").addEventListener("change", keepThem);
  byId("show-settings").addEventListener("click", () => show(byId("settings").hidden));
  byId("reset-settings").addEventListener("click", () => {
    for (const name of [...TEXTS, ...NUMBERS]) field(name).value = "";
    keepThem();
  });
  mark();
}
