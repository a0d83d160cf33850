// What this browser keeps, in its IndexedDB: conversations, their messages one by one (so that two windows do not overwrite each
// other's), and pictures as the files that they are.

let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("minigemini", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("conversations", { keyPath: "id" });
      request.result.createObjectStore("messages", { keyPath: "id" }).createIndex("conversation", "conversation");
      request.result.createObjectStore("pictures");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error(`This browser keeps nothing for this page (${request.error.message}).`));
  });
  return opened;
}

/** One transaction; the value of the request that `work` returns. */
async function inside(names, mode, work) {
  const transaction = (await database()).transaction(names, mode);
  const request = work(...names.map((name) => transaction.objectStore(name)));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onabort = () => reject(new Error(`This browser could not keep it (${transaction.error?.message ?? "aborted"}).`));
  });
}

export const keptConversations = () => inside(["conversations"], "readonly", (store) => store.getAll());
export const keepConversation = (kept) => inside(["conversations"], "readwrite", (store) => store.put(kept));

export const allMessages = () => inside(["messages"], "readonly", (store) => store.getAll());
export const messagesOf = (id) => inside(["messages"], "readonly", (store) => store.index("conversation").getAll(id));
export function keepMessage({ underway, looked, ...message }) {
  return inside(["messages"], "readwrite", (store) => store.put(message));
}

export const dropMessage = ({ id }) => inside(["messages"], "readwrite", (store) => store.delete(id));

export const pictureFile = (id) => inside(["pictures"], "readonly", (store) => store.get(id));
export const keepPictureFile = (id, file) => inside(["pictures"], "readwrite", (store) => store.put(file, id));

/** A conversation with its messages, and the pictures that no other one shows. */
export async function forget(id) {
  const messages = await messagesOf(id);
  await inside(["conversations", "messages"], "readwrite", (conversations, store) => {
    conversations.delete(id);
    for (const message of messages) store.delete(message.id);
  });
  const shown = new Set((await allMessages()).flatMap(picturesOf));
  for (const one of await keptConversations()) for (const picture of one.draft.pictures) shown.add(picture.id);
  const gone = messages.flatMap(picturesOf).filter((picture) => !shown.has(picture));
  await inside(["pictures"], "readwrite", (store) => gone.forEach((picture) => store.delete(picture)));
}

function picturesOf(message) {
  return [...(message.pictures ?? []).map((one) => one.id), ...(message.drawings ?? []).map((one) => one.picture)];
}
