// Server-sent events of a body that is fetched; the browser's own EventSource can only GET.

/** Yields {event, data} as they come. */
export async function* serverSent(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const frames = text.split("\n\n");
      text = frames.pop();
      for (const frame of frames) yield parsed(frame);
    }
  } finally {
    reader.cancel().catch(() => {}); // whoever reads no further ends the request too
  }
}

function parsed(frame) {
  const found = { event: "message", data: [] };
  for (const line of frame.split("\n")) {
    const [, field, value] = line.match(/^(event|data): ?(.*)$/) ?? [];
    if (field === "event") found.event = value;
    if (field === "data") found.data.push(value);
  }
  return { event: found.event, data: found.data.join("\n") };
}
