// The branch that is shown.

import { picturesIn } from "./conversation.js";
import { byId, element } from "./element.js";
import { EXAMPLES } from "./examples.js";
import { messageView } from "./message_view.js";

/** All of it anew; the focus stays at the button that was pressed. */
export function showBranch(conversation, does) {
  const branch = conversation.branch();
  const [place, kept] = focused();
  byId("messages").replaceChildren(...branch.map((message) => view(conversation, message, does)));
  byId("welcome").hidden = branch.length > 0;
  if (kept) {
    const article = byId("messages").children[place];
    const button = article?.querySelector(`[data-focus="${kept}"]`);
    (button && !button.disabled ? button : article?.querySelector("[data-focus]:not(:disabled)"))?.focus();
  }
}

function view(conversation, message, does) {
  const before = conversation.upTo(message).slice(0, -1);
  return messageView(message, conversation.siblingsOf(message), picturesIn(before).length > 0, does);
}

function focused() {
  const button = document.activeElement?.closest("#messages [data-focus]");
  return button ? [[...byId("messages").children].indexOf(button.closest("article")), button.dataset.focus] : [];
}

/** One message, which has changed; nothing, if it is not shown. The view stays at the end if it was there. */
export function showMessage(conversation, message, does) {
  const old = byId(`m-${message.id}`);
  if (!old) return;
  const follows = atEnd();
  old.replaceWith(view(conversation, message, does));
  if (follows) toEnd();
}

const atEnd = () => byId("scroll").scrollHeight - byId("scroll").scrollTop - byId("scroll").clientHeight < 80;

export function toEnd() {
  byId("scroll").scrollTop = byId("scroll").scrollHeight;
  // a picture has its height when it is decoded
  for (const picture of byId("messages").querySelectorAll("img")) {
    if (!picture.complete || !picture.src) picture.addEventListener("load", () => (byId("scroll").scrollTop = byId("scroll").scrollHeight), { once: true });
  }
}

/** As much of a message's last part as there is room for, once its pictures have their height. */
export function bringIntoView(message) {
  const last = byId(`m-${message.id}`).querySelector(".message-tools");
  const bring = () => last.scrollIntoView({ block: "nearest" });
  bring();
  for (const picture of last.parentElement.querySelectorAll("img")) picture.addEventListener("load", bring, { once: true });
}

/** For those who do not see: what has just happened. */
export function announce(text) {
  byId("announced").textContent = text;
}

export function showExamples(take) {
  byId("examples").replaceChildren(
    ...EXAMPLES.map((example) => {
      const picture = element("img", { src: example.picture ? `page/examples/${example.picture}` : "page/examples/drawing.svg", alt: "" });
      return element("li", {}, element("button", { type: "button", onclick: () => take(example) }, picture, element("span", {}, example.text, element("small", {}, example.about))));
    }),
  );
}
