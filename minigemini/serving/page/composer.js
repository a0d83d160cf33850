// Where a message is written: words, and pictures that are dropped, pasted or chosen.

import { byId, element, iconButton } from "./element.js";
import { keepGiven, pictureUrl } from "./pictures.js";

let pictures = [];
let changed = () => {};

export const draft = () => ({ text: byId("words").value, pictures: [...pictures] });

export function setDraft({ text, pictures: given }) {
  byId("words").value = text;
  pictures = [...given];
  showPictures();
  fit();
}

/** In words, until the next message is sent; nothing: all is well. */
export function showProblem(text) {
  byId("problem").textContent = text ?? "";
  byId("problem").hidden = !text;
}

/** Whether an answer is being written: then there is a stop where one sends else. */
export function showBusy(busy) {
  const inside = document.activeElement === byId("send") || document.activeElement === byId("stop");
  byId("send").hidden = busy;
  byId("stop").hidden = !busy;
  if (inside) byId("words").focus();
}

/**
 * @param does {send(draft), stop(), changed()}
 */
export function startComposer(does) {
  changed = does.changed;
  const words = byId("words");
  const send = () => {
    if (byId("send").hidden || !(words.value.trim() || pictures.length)) return;
    does.send({ text: words.value.trim(), pictures: [...pictures] });
  };
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  words.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  words.addEventListener("input", () => {
    fit();
    changed();
  });
  byId("stop").addEventListener("click", does.stop);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) does.stop();
  });

  byId("choose").addEventListener("click", () => byId("files").click());
  byId("files").addEventListener("change", () => {
    addPictures([...byId("files").files]);
    byId("files").value = "";
  });
  addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    addPictures([...event.clipboardData.files]);
  });
  startDropping();
}

function startDropping() {
  let inside = 0;
  const show = (by) => {
    inside = by ? inside + by : 0;
    byId("drop").hidden = inside === 0;
  };
  const withFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => withFiles(event) && show(1));
  addEventListener("dragleave", (event) => withFiles(event) && show(-1));
  addEventListener("dragover", (event) => withFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!withFiles(event)) return;
    event.preventDefault();
    show(0);
    addPictures([...event.dataTransfer.files]);
  });
}

export async function addPictures(files) {
  showProblem(null);
  for (const file of files) {
    try {
      pictures.push(await keepGiven(file));
    } catch (error) {
      showProblem(error.message);
    }
  }
  showPictures();
  changed();
  byId("words").focus();
}

function showPictures() {
  byId("attached").hidden = pictures.length === 0;
  byId("attached").replaceChildren(
    ...pictures.map((one) => {
      const picture = element("img", { alt: one.name });
      pictureUrl(one.id).then((url) => (picture.src = url), (error) => showProblem(error.message));
      const remove = () => {
        pictures = pictures.filter((other) => other !== one);
        showPictures();
        changed();
        byId("words").focus();
      };
      return element("li", {}, picture, iconButton("cross", `Remove ${one.name}`, remove));
    }),
  );
}

/** As high as its text, up to what the style allows. */
function fit() {
  byId("words").style.height = "auto";
  byId("words").style.height = `${byId("words").scrollHeight}px`;
}
