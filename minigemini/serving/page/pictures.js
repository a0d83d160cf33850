// Pictures: kept as files under an id, shown by object URLs, sent as data URLs.

import { newId } from "./conversation.js";
import { keepPictureFile, pictureFile } from "./store.js";

const KINDS = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/avif"];
const MOST_BYTES = 20_000_000; // a request has room for 32 MB, and base64 makes four bytes of three

const urls = new Map();

/** Keep a file that the user gave. Throws an Error with words for the user if it is none that can be read. */
export async function keepGiven(file) {
  const name = file.name || "pasted picture";
  if (!KINDS.includes(file.type)) throw new Error(`${name}: not a picture of a kind that can be read (PNG, JPEG, WebP, GIF, BMP, AVIF).`);
  if (file.size > MOST_BYTES) throw new Error(`${name}: larger than ${MOST_BYTES / 1e6} MB.`);
  try {
    (await createImageBitmap(file)).close();
  } catch {
    throw new Error(`${name}: a broken picture.`);
  }
  return { id: await keep(file), name };
}

export async function keep(file) {
  const id = newId();
  await keepPictureFile(id, file);
  return id;
}

/** Whether a picture is so small that it is enlarged pixel by pixel. */
export const isTiny = (picture) => Math.max(picture.naturalWidth, picture.naturalHeight) <= 128;

/** For `<img src>`. */
export async function pictureUrl(id) {
  if (!urls.has(id)) {
    const file = await pictureFile(id);
    if (!file) throw new Error("The picture is not in this browser any more.");
    urls.set(id, URL.createObjectURL(file));
  }
  return urls.get(id);
}

export async function dataUrl(id) {
  const file = await pictureFile(id);
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

export function pngOfBase64(text) {
  return new Blob([Uint8Array.from(atob(text), (character) => character.charCodeAt(0))], { type: "image/png" });
}

/** What made a drawing: the JSON in the PNG's iTXt chunk `minigemini`; null: there is none. */
export async function recordIn(png) {
  const bytes = new Uint8Array(await png.arrayBuffer());
  const view = new DataView(bytes.buffer);
  const latin = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const end = at + 8 + view.getUint32(at);
    const start = at + 8 + "minigemini".length;
    if (latin(at + 4, at + 8) === "iTXt" && latin(at + 8, start + 1) === "minigemini\0") {
      // after the keyword: 0, compressed?, method, language 0, translated keyword 0
      return JSON.parse(new TextDecoder().decode(bytes.subarray(start + 5, end)));
    }
  }
  return null;
}
