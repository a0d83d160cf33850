// One message as an element.

import { saysSomething } from "./conversation.js";
import { enlarge } from "./dialogs.js";
import { element, iconButton, iconOf } from "./element.js";
import { blocks } from "./markdown.js";
import { overlayView } from "./overlay_view.js";
import { isTiny, pictureUrl } from "./pictures.js";

/**
 * @param siblings the messages that stand at this place in other branches, this one among them
 * @param seen whether there is a picture before it
 * @param does what the buttons do: {choose, change, again, redraw, look}
 */
export function messageView(message, siblings, seen, does) {
  const mine = message.role === "user";
  const article = element("article", { class: message.role, id: `m-${message.id}`, "aria-busy": String(message.state === "answering"), tabindex: "-1" });
  article.append(element("h2", { class: "unseen" }, mine ? "You" : "Answer"), ...(mine ? questionParts(message) : answerParts(message, does)));
  if (message.state !== "answering") article.append(buttons(message, siblings, seen, does));
  return article;
}

function questionParts(message) {
  const pictures = message.pictures.map(({ id, name }) => element("li", {}, pictureButton(id, `your picture ${name}`)));
  return [
    pictures.length ? element("ul", { class: "given" }, ...pictures) : null,
    message.text ? element("p", { class: "said" }, message.text) : null,
  ].filter(Boolean);
}

function answerParts(message, does) {
  const parts = [];
  let begin = 0;
  const words = (end) => parts.push(...blocks(message.text.slice(begin, end)));
  const place = (figure) => {
    if (parts.at(-1)?.className !== "figures") parts.push(element("div", { class: "figures" }));
    parts.at(-1).append(figure);
  };
  message.drawings.forEach((drawing, index) => {
    words(drawing.offset);
    begin = drawing.offset;
    const anew = message.underway?.instead === index;
    place(anew ? drawingUnderway(message.underway) : drawingView(message, drawing, index, does));
  });
  words(message.text.length);
  if (message.underway && message.underway.instead === undefined) place(drawingUnderway(message.underway));
  if (message.state === "answering" && !message.underway && !message.text) parts.push(waiting());
  for (const notice of message.notices) parts.push(element("p", { class: "notice" }, notice));
  if (message.state === "failed") {
    const retry = element("button", { type: "button", class: "quiet", onclick: () => does.again(message) }, iconOf("again"), "Try again");
    parts.push(element("div", { class: "failed", role: "alert" }, element("p", {}, message.error), retry));
  }
  if (message.looked?.state === "shown") parts.push(element("div", { class: "figures looked" }, ...message.looked.pictures.map(overlayView)));
  if (message.state === "stopped") parts.push(element("p", { class: "notice" }, "Stopped."));
  if (message.state === "done" && !saysSomething(message)) parts.push(element("p", { class: "notice" }, "The model said nothing."));
  return parts;
}

const waiting = () => element("p", { class: "waiting" }, element("span", { class: "unseen" }, "The model is reading"), element("i"), element("i"), element("i"));

function drawingView(message, drawing, index, does) {
  const caption = element("figcaption", {}, element("p", { class: "prompt" }, drawing.prompt));
  const figure = element("figure", { id: `d-${drawing.picture}` }, pictureButton(drawing.picture, drawing.prompt), caption);
  const tools = element("div", { class: "figure-tools" });
  if (message.state !== "answering") {
    tools.append(iconButton("pencil", "Change the prompt and draw again", () => figure.replaceWith(promptForm(message, drawing, index, does, figure))));
  }
  const save = element("a", { class: "icon", title: "Save the picture", "aria-label": `Save the picture: ${drawing.prompt}`, download: fileName(drawing.prompt) }, iconOf("save"));
  pictureUrl(drawing.picture).then((url) => (save.href = url), () => save.remove());
  tools.append(save);
  caption.append(element("p", { class: "made" }, madeOf(drawing.record)), tools);
  return figure;
}

const fileName = (prompt) => `${prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60)}.png`;

function madeOf(record) {
  if (!record) return "";
  const facts = [`${record.width}×${record.height}`, `seed ${record.seed}`];
  if (record.steps) facts.push(`${record.steps} steps`);
  if (record.edit) facts.push(record.edit);
  return facts.join(" · ");
}

function promptForm(message, drawing, index, does, figure) {
  const prompt = element("textarea", { rows: "3", "aria-label": "Prompt of the drawing" });
  prompt.value = drawing.prompt;
  const cancel = () => {
    form.replaceWith(figure);
    figure.querySelector("button.icon").focus();
  };
  const draw = (event) => {
    event.preventDefault();
    if (prompt.value.trim()) does.redraw(message, index, prompt.value.trim());
  };
  const form = element(
    "form",
    { class: "prompt-form", onsubmit: draw },
    pictureButton(drawing.picture, drawing.prompt),
    prompt,
    element("div", { class: "choices" }, element("button", { type: "button", class: "quiet", onclick: cancel }, "Cancel"), element("button", { type: "submit", class: "strong" }, "Draw")),
  );
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      cancel();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) draw(event);
  });
  setTimeout(() => prompt.focus());
  return form;
}

function drawingUnderway({ prompt, step, steps, preview }) {
  const bar = element("progress", { "aria-label": `Drawing ${prompt}`, max: steps ?? null, value: steps ? step : null });
  const picture = preview ? element("img", { src: preview, alt: `Not finished: ${prompt}`, decoding: "sync" }) : null;
  const canvas = element("div", { class: "canvas" }, picture, bar);
  const caption = element("figcaption", {}, element("p", { class: "prompt" }, prompt), element("p", { class: "made" }, steps ? `step ${step} of ${steps}` : "drawing"));
  return element("figure", { class: "underway" }, canvas, caption);
}

/** A picture that opens in large. */
function pictureButton(id, alternative) {
  const picture = element("img", { alt: alternative });
  const button = element("button", { type: "button", class: "picture", "aria-label": `Enlarge: ${alternative}`, onclick: () => enlarge(picture.src, alternative) }, picture);
  picture.addEventListener("load", () => picture.classList.toggle("tiny", isTiny(picture)));
  pictureUrl(id).then((url) => (picture.src = url), (error) => button.replaceWith(element("p", { class: "notice" }, error.message)));
  return button;
}

function eye(message, does) {
  const state = message.looked?.state;
  const attributes = { class: state ? "icon stays" : "icon", "aria-pressed": String(state === "shown"), "aria-busy": String(state === "asked"), "data-focus": "eye" };
  return iconButton("eye", "Where it looked", () => does.look(message), attributes);
}

function buttons(message, siblings, seen, does) {
  const row = element("div", { class: "message-tools" });
  if (siblings.length > 1) {
    const at = siblings.indexOf(message);
    const to = (index) => () => does.choose(siblings[index]);
    row.append(
      iconButton("left", "Branch before", to(at - 1), { class: "icon stays", disabled: at === 0, "data-focus": "left" }),
      element("span", { class: "branch", "aria-label": `branch ${at + 1} of ${siblings.length}` }, `${at + 1}/${siblings.length}`),
      iconButton("right", "Branch after", to(at + 1), { class: "icon stays", disabled: at === siblings.length - 1, "data-focus": "right" }),
    );
  }
  if (message.role === "user") row.append(iconButton("pencil", "Change this message", () => does.change(message)));
  else {
    row.append(iconButton("again", "Answer again", () => does.again(message)));
    if (seen && saysSomething(message)) row.append(eye(message, does));
  }
  return row;
}
