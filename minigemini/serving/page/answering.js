// One answer: what the server sends becomes the message, piece by piece.

import { keep, pngOfBase64, recordIn } from "./pictures.js";
import { answerChunks, drawing } from "./server.js";

/**
 * Fill an answer. It ends "done", "stopped" or "failed"; nothing is thrown.
 *
 * @param request a promise of the request
 * @param onChange is called after each change
 */
export async function fillAnswer(message, request, signal, onChange) {
  await ended(message, signal, onChange, async () => {
    for await (const chunk of answerChunks(await request, signal)) {
      await apply(message, chunk.choices[0].delta);
      onChange();
    }
  });
}

/** Draw picture number `index` of an answer anew. */
export async function fillDrawing(message, index, request, signal, onChange) {
  const { offset } = message.drawings[index];
  message.underway = { prompt: request.prompt, offset, instead: index };
  onChange();
  await ended(message, signal, onChange, async () => {
    const png = pngOfBase64(await drawing(request, signal));
    message.drawings[index] = { picture: await keep(png), offset, prompt: request.prompt, record: await recordIn(png) };
  });
}

async function ended(message, signal, onChange, work) {
  try {
    await work();
    message.state = "done";
  } catch (error) {
    message.state = signal.aborted ? "stopped" : "failed";
    if (!signal.aborted) message.error = error.message;
  }
  message.underway = null;
  onChange();
}

async function apply(message, delta) {
  message.text += delta.content ?? "";
  // {prompt} when one begins, then {step, steps} any number of times
  if (delta.drawing) message.underway = { offset: message.text.length, ...message.underway, ...delta.drawing };
  for (const { image_url } of delta.partial_images ?? []) message.underway.preview = image_url.url;
  for (const image of delta.images ?? []) {
    const png = pngOfBase64(image.image_url.url.split(",")[1]);
    const made = { picture: await keep(png), offset: message.text.length, prompt: image.revised_prompt, record: await recordIn(png) };
    message.drawings.push(made);
    message.underway = null;
  }
  for (const notice of delta.notices ?? []) {
    message.notices.push(notice);
    message.underway = null;
  }
}
