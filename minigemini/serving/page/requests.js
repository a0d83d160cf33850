// What is asked of the server: a branch of a conversation and the settings, in the form of its API.

import { dataUrl } from "./pictures.js";

/** @param branch messages, the user's last, or an answer for {@link attentionRequest} */
export async function answerRequest(model, branch, settings) {
  const messages = settings.system ? [{ role: "system", content: settings.system }] : [];
  for (const message of branch) messages.push(await (message.role === "user" ? question(message) : answer(message)));
  const request = { model, messages, draw: settings.draw, image_config: given(imageConfig(settings)), progress: true, partial_images: 3 };
  const decoding = { temperature: settings.temperature, top_p: settings.top_p, seed: settings.seed, stop: settings.stop, max_completion_tokens: settings.max_tokens };
  return { ...request, ...given(decoding) };
}

/** Where an answer looked. @param branch messages, that answer last */
export async function attentionRequest(model, branch, settings) {
  const { messages } = await answerRequest(model, branch, settings);
  return { model, messages };
}

/** A drawing anew with other words; what `record` says of the old one stays, so that only what the words change is changed. */
export function drawingRequest(model, prompt, record, settings) {
  const kept = record ? { size: `${record.width}x${record.height}`, seed: record.seed, steps: record.steps, guidance: record.guidance } : {};
  return { model, prompt, ...given(kept), ...given(oneDrawing(settings)) };
}

const oneDrawing = ({ size, seed, steps, guidance, negative_prompt }) => ({ size, seed, steps, guidance, negative_prompt });
const imageConfig = (settings) => ({ ...oneDrawing(settings), count: settings.count, action: settings.action });

/** Without what is null. */
const given = (settings) => Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));

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
