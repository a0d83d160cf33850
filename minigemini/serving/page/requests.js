// What is asked of the server: a branch of a conversation and the settings, in the form of its API.

import { dataUrl } from "./pictures.js";

/** @param branch messages, the user's last, or an answer for {@link attentionRequest} */
export async function answerRequest(model, branch, settings) {
  const messages = settings.system ? [{ role: "system", content: settings.system }] : [];
  for (const message of branch) messages.push(await (message.role === "user" ? question(message) : answer(message)));
  const request = { model, messages, draw: settings.draw, image_config: imageConfig(settings), progress: true, partial_images: 3 };
  if (settings.temperature !== null) request.temperature = settings.temperature;
  if (settings.max_tokens !== null) request.max_completion_tokens = settings.max_tokens;
  if (settings.seed !== null) request.seed = settings.seed;
  return request;
}

/** Where an answer looked. @param branch messages, that answer last */
export async function attentionRequest(model, branch, settings) {
  const { messages } = await answerRequest(model, branch, settings);
  return { model, messages };
}

/** A drawing anew with other words; what `record` says of the old one stays, so that only what the words change is changed. */
export function drawingRequest(model, prompt, record, settings) {
  const kept = record ? { size: `${record.width}x${record.height}`, seed: record.seed, steps: record.steps, guidance: record.guidance } : {};
  const request = { model, prompt };
  for (const [name, value] of Object.entries({ ...kept, ...imageConfig(settings) })) if (value !== null) request[name] = value;
  return request;
}

function imageConfig(settings) {
  const config = {};
  for (const name of ["size", "seed", "steps", "guidance", "negative_prompt"]) if (settings[name] !== null) config[name] = settings[name];
  return config;
}

async function question({ text, pictures }) {
  const content = [];
  for (const { id } of pictures) content.push({ type: "image_url", image_url: { url: await dataUrl(id) } });
  if (text) content.push({ type: "text", text });
  return { role: "user", content };
}

async function answer({ text, drawings }) {
  const images = [];
  for (const { picture, offset } of drawings) {
    // the server counts characters, JavaScript counts two for some
    images.push({ type: "image_url", image_url: { url: await dataUrl(picture) }, index: images.length, offset: [...text.slice(0, offset)].length });
  }
  return { role: "assistant", content: text, images };
}
