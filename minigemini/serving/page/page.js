// The page: what happens when. The state is one conversation that is shown, and the answers that are being written, in it or others.

import { fillAnswer, fillDrawing } from "./answering.js";
import { announce, bringIntoView, showBranch, showExamples, showMessage, toEnd } from "./chat_view.js";
import { addPictures, draft, setDraft, showBusy, showProblem, startComposer } from "./composer.js";
import { Conversation, picturesIn } from "./conversation.js";
import { ask, confirmed, startDialogs } from "./dialogs.js";
import { byId, drawIcons } from "./element.js";
import { exampleFile } from "./examples.js";
import { showGallery } from "./gallery.js";
import { answerRequest, attentionRequest, drawingRequest } from "./requests.js";
import { askForKeyBy, attention, model } from "./server.js";
import { settingsNow, startSettings } from "./settings.js";
import { showConversations, startSidebar } from "./sidebar.js";
import { dropMessage, forget, keepConversation, keepMessage, keptConversations, messagesOf } from "./store.js";

let shown = new Conversation();
let changing = null; // the earlier message that is being changed
const answering = new Map(); // conversation's id -> {conversation, controller, ended}

const does = {
  choose(message) {
    shown.choose(message);
    show();
    keep();
  },
  change(message) {
    changing = message;
    byId("editing").hidden = false;
    setDraft(message);
    byId("words").focus();
  },
  again(message) {
    const question = shown.messages.get(message.parent);
    answer(question);
  },
  async look(message) {
    if (message.looked?.state === "asked") return;
    const conversation = shown;
    const showIt = () => shown === conversation && showBranch(conversation, does);
    showProblem(null);
    try {
      if (message.looked) message.looked = null;
      else {
        message.looked = { state: "asked" };
        showIt();
        const branch = conversation.upTo(message);
        const found = await attention(await attentionRequest(await modelName(), branch, settingsNow()));
        const pictures = picturesIn(branch.slice(0, -1)).map((one, index) => ({ ...one, ...found[index], url: found[index].image_url.url }));
        message.looked = { state: "shown", pictures };
        announce(`${pictures.length === 1 ? "A picture shows" : "Pictures show"} where the answer looked.`);
      }
    } catch (error) {
      message.looked = null;
      showProblem(error.message);
    }
    showIt();
    if (message.looked && shown === conversation) bringIntoView(message);
  },
  redraw(message, index, prompt) {
    run(async (settings) => {
      const { record } = message.drawings[index];
      const anew = { role: "assistant", text: message.text, drawings: [...message.drawings], notices: [], state: "answering" };
      const request = drawingRequest(await modelName(), prompt, record, settings);
      const conversation = shown;
      const other = shown.add(message.parent, anew);
      await write(other, (one, signal, onChange) => fillDrawing(one, index, request, signal, onChange));
      if (other.state === "done") return;
      conversation.remove(other, message); // all of it would be as before
      await dropMessage(other);
      await keep(conversation);
      if (shown === conversation) show();
      if (other.error) throw new Error(other.error);
    });
  },
};

/** Starts something that is answered; what cannot be done is said in words. */
async function run(work) {
  showProblem(null);
  if (answering.has(shown.id)) return showProblem("An answer is being written; stop it first.");
  try {
    await work(settingsNow());
  } catch (error) {
    showProblem(error.message);
  }
}

function send(message) {
  run(async () => {
    const parent = changing ? changing.parent : shown.end;
    if (!shown.title) shown.title = message.text.split("\n")[0].slice(0, 60) || "A picture";
    const question = shown.add(parent, { role: "user", ...message });
    await keepMessage(question);
    clearDraft();
    answer(question);
  });
}

function answer(question) {
  run(async (settings) => {
    const begun = { role: "assistant", text: "", drawings: [], notices: [], state: "answering" };
    const request = modelName().then((name) => answerRequest(name, shown.upTo(question), settings));
    await write(shown.add(question.id, begun), (one, signal, onChange) => fillAnswer(one, request, signal, onChange));
  });
}

/** An answer, from its first word to what is kept of it. */
async function write(message, fill) {
  const conversation = shown;
  const controller = new AbortController();
  let end;
  const ended = new Promise((resolve) => (end = resolve));
  answering.set(conversation.id, { conversation, controller, ended });
  show();
  toEnd();
  announce("The model answers.");
  await keep();
  let asked = false;
  const onChange = () => {
    if (asked) return;
    asked = true; // once a frame is enough
    requestAnimationFrame(() => {
      asked = false;
      if (shown === conversation) showMessage(conversation, message, does);
    });
  };
  const keeping = setInterval(() => keepMessage(message), 1000); // a page that is closed meanwhile keeps what there was
  await fill(message, controller.signal, onChange);
  clearInterval(keeping);
  answering.delete(conversation.id);
  conversation.changed = Date.now();
  if (shown === conversation) showState(); // before it is kept: one may send as soon as the answer is seen to have ended
  await keepMessage(message);
  await keep(conversation);
  end();
  if (shown === conversation) {
    showMessage(conversation, message, does);
    const drawn = message.drawings.map((one) => `Drawn: ${one.prompt}.`);
    announce([message.text, ...drawn, ...message.notices, message.error ?? ""].join(" "));
  }
}

function stop() {
  if (changing) return clearDraft();
  answering.get(shown.id)?.controller.abort();
}

function clearDraft() {
  changing = null;
  byId("editing").hidden = true;
  setDraft({ text: "", pictures: [] });
  keepDraft();
}

function takeBack() {
  const question = shown.takeBack();
  if (!question) return;
  setDraft(question);
  announce("The last question is taken back.");
  show();
  keepDraft();
  byId("words").focus();
}

function bringBack() {
  const question = shown.takenBack;
  if (!question) return;
  if (draft().text === question.text) setDraft({ text: "", pictures: [] });
  // with the answer that was chosen then, and what followed it
  shown.choose(question);
  show();
  toEnd();
  keepDraft();
}

let name;

function modelName() {
  name ??= model().then(
    (one) => {
      byId("model").textContent = one.id;
      return one.id;
    },
    (error) => {
      name = undefined; // asked again with the next question
      throw error;
    },
  );
  return name;
}

/* What is shown and kept. */

function show() {
  showBranch(shown, does);
  showState();
}

function showState() {
  const title = shown.title || "New conversation";
  byId("title").textContent = title;
  document.title = `${title} · minigemini`;
  const busy = answering.has(shown.id);
  showBusy(busy);
  byId("undo").disabled = busy || shown.branch().length === 0;
  byId("redo").disabled = busy || !shown.takenBack;
  history.replaceState(null, "", `#${shown.id}`);
}

async function keep(conversation = shown) {
  try {
    for (const message of conversation.branch()) if (message.state === "answering") await keepMessage(message);
    await keepConversation(conversation.kept);
    await list();
  } catch (error) {
    showProblem(error.message);
  }
}

let keepingDraft;

function keepDraft() {
  if (changing) return;
  shown.draft = draft();
  const conversation = shown;
  clearTimeout(keepingDraft);
  keepingDraft = setTimeout(() => (conversation.isEmpty && !conversation.draft.text && !conversation.draft.pictures.length) || keep(conversation), 200);
}

async function list() {
  showConversations(await keptConversations(), shown.id, { open, rename, forget: forgetAsked });
}

/** A conversation as it is kept, or the one in memory that is being answered. */
async function conversationOf(kept) {
  if (kept.id === shown.id) return shown;
  if (answering.has(kept.id)) return answering.get(kept.id).conversation;
  const messages = await messagesOf(kept.id);
  // the page was closed while it was written
  for (const message of messages) if (message.state === "answering") message.state = "stopped";
  return new Conversation(kept, messages);
}

async function open(id) {
  const kept = (await keptConversations()).find((one) => one.id === id);
  display(kept ? await conversationOf(kept) : new Conversation());
}

function display(conversation) {
  shown = conversation;
  changing = null;
  byId("editing").hidden = true;
  showProblem(null);
  setDraft(shown.draft);
  show();
  toEnd();
  list();
  if (matchMedia("(pointer: fine)").matches) byId("words").focus(); // a phone would unfold its keyboard
}

async function rename(kept) {
  const title = await ask("Name of the conversation", { value: kept.title });
  if (!title) return;
  const conversation = await conversationOf(kept);
  conversation.title = title;
  await keep(conversation);
  showState();
}

async function forgetAsked(kept) {
  if (!(await confirmed(`Delete “${kept.title || "New conversation"}” and its pictures?`, "Delete"))) return;
  answering.get(kept.id)?.controller.abort();
  await answering.get(kept.id)?.ended; // it is kept when it ends
  await forget(kept.id);
  if (kept.id === shown.id) display(new Conversation());
  else await list();
}

async function gallery() {
  const all = byId("gallery-of").value === "all";
  const conversations = all ? await Promise.all((await keptConversations()).map(conversationOf)) : [shown];
  showGallery(conversations, async (id, message) => {
    byId("gallery").close();
    if (id !== shown.id) await open(id);
    does.choose(shown.messages.get(message));
    byId(`m-${message}`).scrollIntoView({ block: "center" });
    byId(`m-${message}`).focus({ preventScroll: true });
  });
  if (!byId("gallery").open) byId("gallery").showModal();
}

async function takeExample({ text, picture }) {
  if (picture) await addPictures([await exampleFile(picture)]);
  send({ text, pictures: draft().pictures });
}

async function start() {
  drawIcons();
  startDialogs();
  startSettings();
  startSidebar(() => display(new Conversation()));
  startComposer({ send, stop, changed: keepDraft });
  showExamples(takeExample);
  askForKeyBy((question) => ask(question, { yes: "Open", secret: true }));
  byId("keep-as-it-was").addEventListener("click", clearDraft);
  byId("undo").addEventListener("click", takeBack);
  byId("redo").addEventListener("click", bringBack);
  byId("show-gallery").addEventListener("click", gallery);
  byId("gallery-of").addEventListener("change", gallery);
  addEventListener("hashchange", () => location.hash.slice(1) !== shown.id && open(location.hash.slice(1)));
  try {
    const newest = (await keptConversations()).sort((one, other) => other.changed - one.changed)[0];
    await open(location.hash.slice(1) || newest?.id);
    await modelName();
  } catch (error) {
    showProblem(error.message);
  }
}

start();
