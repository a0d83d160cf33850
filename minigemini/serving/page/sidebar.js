// The list of conversations, newest first. On a narrow screen it slides in over the page.

import { byId, element, iconButton } from "./element.js";

/**
 * @param kept as the store has them
 * @param does {open(id), rename(kept), forget(kept)}
 */
export function showConversations(kept, current, does) {
  const sorted = [...kept].sort((one, other) => other.changed - one.changed);
  byId("conversations").replaceChildren(
    ...sorted.map((one) => {
      const title = one.title || "New conversation";
      const open = () => {
        slide(false);
        does.open(one.id);
      };
      return element(
        "li",
        {},
        element("button", { type: "button", class: "open", title, "aria-current": one.id === current ? "true" : null, onclick: open }, title),
        iconButton("pencil", `Rename ${title}`, () => does.rename(one)),
        iconButton("bin", `Delete ${title}`, () => does.forget(one)),
      );
    }),
  );
}

const narrow = matchMedia("(max-width: 820px)");

function slide(open) {
  document.body.classList.toggle("side-open", open);
  byId("menu").setAttribute("aria-expanded", open);
  byId("shade").hidden = !open;
  byId("side").inert = narrow.matches && !open; // what is out of sight is out of reach of the keyboard
  if (open) byId("new").focus();
}

export function startSidebar(startNew) {
  byId("new").addEventListener("click", () => {
    slide(false);
    startNew();
  });
  byId("menu").addEventListener("click", () => slide(!document.body.classList.contains("side-open")));
  byId("shade").addEventListener("click", () => slide(false));
  byId("side").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.body.classList.contains("side-open")) {
      slide(false);
      byId("menu").focus();
    }
  });
  narrow.addEventListener("change", () => slide(false));
  slide(false);
}
