// All drawings, each after the one it was made from: the branches of a conversation as a tree of pictures.

import { byId, element } from "./element.js";
import { isTiny, pictureUrl } from "./pictures.js";

/**
 * @param conversations those to show
 * @param go opens a conversation at a message
 */
export function showGallery(conversations, go) {
  const shown = conversations.map((conversation) => [conversation, trees(conversation)]).filter(([, roots]) => roots.length);
  byId("drawings").replaceChildren(
    ...shown.map(([conversation, roots]) => {
      const current = new Set(conversation.branch().map((message) => message.id));
      const title = conversation.title || "New conversation";
      const tree = element("ul", { class: "tree" }, ...roots.map((root) => branchView(root, conversation, current, go)));
      return element("section", { "aria-label": title }, element("h3", {}, title), tree);
    }),
  );
  if (!shown.length) byId("drawings").append(element("p", { class: "notice" }, "Nothing is drawn yet."));
}

/** {drawing, message, after: [...]}; those of one answer stand beside one another, and the same picture in several branches stands once after the same one. */
function trees(conversation) {
  const roots = [];
  const walk = (parent, place) => {
    for (const message of conversation.childrenOf(parent)) {
      let next = place;
      for (const drawing of message.drawings ?? []) {
        let node = place.find((one) => one.drawing.picture === drawing.picture);
        if (!node) place.push((node = { drawing, message, after: [] }));
        next = node.after; // an edit is of the last of equals
      }
      walk(message.id, next);
    }
  };
  walk("", roots);
  return roots;
}

function branchView({ drawing, message, after }, conversation, current, go) {
  const picture = element("img", { alt: drawing.prompt });
  pictureUrl(drawing.picture).then((url) => (picture.src = url), () => {});
  picture.addEventListener("load", () => picture.classList.toggle("tiny", isTiny(picture)));
  const chosen = current.has(message.id) ? "true" : null;
  const button = element("button", { type: "button", "aria-current": chosen, title: drawing.prompt, onclick: () => go(conversation.id, message.id) }, picture, element("span", {}, drawing.prompt));
  const rest = after.length ? element("ul", {}, ...after.map((one) => branchView(one, conversation, current, go))) : null;
  return element("li", {}, button, rest);
}
