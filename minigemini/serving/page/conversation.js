// A conversation is a tree of messages: each has a parent, and of the children of each one is chosen. Those from the root on are the
// branch that is shown and that the model reads. Undo, retry and edits take
// nothing out of the tree: they choose otherwise.
//
// A question:  {id, conversation, parent, made, role: "user", text, pictures: [{id, name}]}
// An answer:   {..., role: "assistant", text, drawings: [{picture, offset, prompt, record}], notices: [text], state, error}
//   state: "answering", "done", "stopped" by the user, or "failed" for the reason in `error`
//   offset: how much of the text stands before the drawing, in units of JavaScript's strings
//   underway: what is being drawn now, {prompt, offset, step, steps, preview: data URL}; is not kept
//   looked: where it looked in each picture before it, {state: "asked" or "shown", pictures: [{picture, alternative, url, share, brightest}]};
//     is not kept

/** Not crypto.randomUUID, which a page has only over https or on this machine. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const ROOT = "";

export class Conversation {
  /**
   * @param kept what the store keeps of it beside the messages: {id, title, changed, chosen: {parent: child}, draft: {text, pictures}}
   */
  constructor(kept = {}, messages = []) {
    this.id = kept.id ?? newId();
    this.title = kept.title ?? "";
    this.changed = kept.changed ?? Date.now();
    this.chosen = kept.chosen ?? {};
    this.draft = kept.draft ?? { text: "", pictures: [] };
    this.messages = new Map(messages.map((message) => [message.id, message]));
  }

  get kept() {
    const { id, title, changed, chosen, draft } = this;
    return { id, title, changed, chosen, draft };
  }

  get isEmpty() {
    return this.messages.size === 0;
  }

  childrenOf(id) {
    return [...this.messages.values()].filter((one) => one.parent === id).sort((one, other) => one.made - other.made);
  }

  siblingsOf(message) {
    return this.childrenOf(message.parent);
  }

  /** The messages of the chosen branch. */
  branch() {
    const found = [];
    for (let id = this.chosen[ROOT]; id; id = this.chosen[id]) found.push(this.messages.get(id));
    return found;
  }

  /** Those before and up to `message`. */
  upTo(message) {
    const found = [];
    for (let one = message; one; one = this.messages.get(one.parent)) found.unshift(one);
    return found;
  }

  /** A message after `parent`, and chosen. */
  add(parent, content) {
    const message = { id: newId(), conversation: this.id, parent, made: Date.now(), ...content };
    const last = this.childrenOf(parent).at(-1);
    if (last && last.made >= message.made) message.made = last.made + 1; // the order of two in one millisecond
    this.messages.set(message.id, message);
    this.choose(message);
    return message;
  }

  /** Without a message that nothing follows; `instead`, one of its siblings, is shown. */
  remove(message, instead) {
    this.messages.delete(message.id);
    this.choose(instead);
  }

  /** Show the branch that goes through `message`. */
  choose(message) {
    for (const one of this.upTo(message)) this.chosen[one.parent] = one.id;
    this.changed = Date.now();
  }

  /** The message that a new question follows: a question that got no answer, or an empty one, is left beside the branch. */
  get end() {
    const branch = this.branch();
    while (branch.length && !(branch.at(-1).role === "assistant" && saysSomething(branch.at(-1)))) branch.pop();
    return branch.at(-1)?.id ?? ROOT;
  }

  /** The last question and its answer leave the branch. Returns the question. */
  takeBack() {
    const question = this.branch().findLast((one) => one.role === "user");
    if (question) this.chosen[question.parent] = null;
    return question;
  }

  /** The question that follows the end of the branch and is not chosen. */
  get takenBack() {
    return this.childrenOf(this.branch().at(-1)?.id ?? ROOT).at(-1);
  }
}

/** Each picture in some messages, in its order: {picture, alternative}. */
export function picturesIn(messages) {
  return messages.flatMap((one) =>
    one.role === "user"
      ? one.pictures.map(({ id, name }) => ({ picture: id, alternative: `your picture ${name}` }))
      : one.drawings.map(({ picture, prompt }) => ({ picture, alternative: prompt })),
  );
}

export const saysSomething = (answer) => answer.text.trim() !== "" || answer.drawings.length > 0;
