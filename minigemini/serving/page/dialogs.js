// Questions to the user, and a picture in large. The browser's own dialog element keeps the focus inside and closes at Esc.

import { byId } from "./element.js";

/** A text, or null if the user does not want to say. */
export function ask(question, { value = "", yes = "Save", secret = false } = {}) {
  const field = byId("question-answer");
  field.hidden = false;
  field.type = secret ? "password" : "text";
  field.value = value;
  return answered(question, yes, () => field.value.trim() || null);
}

/** Yes or no. */
export function confirmed(question, yes) {
  byId("question-answer").hidden = true;
  return answered(question, yes, () => true);
}

function answered(question, yes, answer) {
  const dialog = byId("question");
  byId("question-text").textContent = question;
  byId("question-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  (byId("question-answer").hidden ? byId("question-yes") : byId("question-answer")).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? answer() : null), { once: true });
  });
}

export function enlarge(url, alternative) {
  const picture = byId("enlarged-picture");
  picture.src = url;
  picture.alt = alternative;
  byId("enlarged").showModal();
}

export function startDialogs() {
  for (const button of document.querySelectorAll("dialog [data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
  }
  // Enter says yes: the first button of a form is what Enter presses, and that is Cancel
  byId("question-answer").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      byId("question").close("yes");
    }
  });
}
