// A picture, and over it where an answer looked.

import { element } from "./element.js";
import { isTiny, pictureUrl } from "./pictures.js";

/** @param looked {picture, alternative, url, share, brightest}, see `conversation.js` */
export function overlayView({ picture, alternative, url, share, brightest }) {
  const part = `${Math.round(share * 100)} %`;
  const plain = element("img", { alt: "" });
  plain.addEventListener("load", () => plain.classList.toggle("tiny", isTiny(plain)));
  pictureUrl(picture).then((own) => (plain.src = own), () => {});
  const overlay = element("img", { src: url, class: "overlay" });
  const toggle = element("button", { type: "button", role: "switch", class: "switch" }, "Overlay");
  const show = (on) => {
    toggle.setAttribute("aria-checked", on);
    overlay.classList.toggle("off", !on);
    overlay.alt = on ? `Where the answer looked in ${alternative}: most ${place(brightest)}` : alternative;
  };
  toggle.addEventListener("click", () => show(toggle.getAttribute("aria-checked") !== "true"));
  show(true);
  const caption = element("figcaption", {}, element("p", { class: "made" }, `${part} of its attention, most ${place(brightest)}`), toggle);
  return element("figure", {}, element("div", { class: "layers" }, plain, overlay), caption);
}

/** In words, of shares of width and height. */
function place([x, y]) {
  const third = (share, names) => names[Math.min(2, Math.floor(share * 3))];
  const words = [third(y, ["top", "", "bottom"]), third(x, ["left", "", "right"])].filter(Boolean);
  return words.length ? `at the ${words.join(" ")}` : "in the middle";
}
