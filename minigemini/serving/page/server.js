// The server, by its API of OpenAI's form. What goes wrong is an Error whose message is for the user.

import { serverSent } from "./server_sent.js";

let askForKey = async () => null;

/** @param ask gives the API key that the user types, or null */
export function askForKeyBy(ask) {
  askForKey = ask;
}

/** The model that this server has: {id, ...}. */
export async function model() {
  const response = await fetched("v1/models");
  return (await response.json()).data[0];
}

/** The chunks of one answer, as they come. */
export async function* answerChunks(request, signal) {
  const response = await fetched("v1/chat/completions", { ...request, stream: true }, signal);
  for await (const { event, data } of serverSent(response.body)) {
    if (event === "error") throw new Error(inWords(500, JSON.parse(data)));
    if (data === "[DONE]") return;
    yield JSON.parse(data);
  }
  throw new Error("The connection broke before the answer was complete.");
}

/** One picture of a prompt, as the base64 text of a PNG. */
export async function drawing(request, signal) {
  const response = await fetched("v1/images/generations", { ...request, n: 1, response_format: "b64_json" }, signal);
  return (await response.json()).data[0].b64_json;
}

/** Where an answer looked: [{image_url, share, brightest: [x, y]}], one for each picture of the conversation before it. */
export async function attention(request) {
  const response = await fetched("v1/attention", request);
  return (await response.json()).data;
}

async function fetched(path, body, signal) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const key = sessionStorage.getItem("key");
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The server cannot be reached. Is it still running?");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    const typed = await askForKey(key ? "This API key does not open the server. Another one?" : "This server asks for an API key.");
    if (typed) {
      sessionStorage.setItem("key", typed);
      return fetched(path, body, signal);
    }
  }
  throw new Error(inWords(response.status, await response.json().catch(() => null)));
}

const BUSY = { 429: "The server has too much to do just now", 503: "The server is shutting down", 504: "It took too long" };

function inWords(status, body) {
  const told = body?.error?.message ?? `the server answered with status ${status}`;
  if (BUSY[status]) return `${BUSY[status]} (${told}).`;
  return told.endsWith(".") ? told : `${told}.`;
}
