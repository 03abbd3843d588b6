// The line to the server, as Gradio is to see it. To Gradio an event whose stream is refused, cut or forgotten is a reason
// to load the page anew, which loses what was typed. Here it ends without a word, and the page asks how its jobs are.
// What became of it; the page's own script, with all else that parts share, may come later.
const line = (window.line = { cut: false, unheard: false });
const bytes = (text) => new TextEncoder().encode(text);
const END = bytes('data: {"msg":"unexpected_error","message":[],"success":false}\n\ndata: {"msg":"close_stream"}\n\n');
const LOST = { error: "The server did not answer. Check your connection." };
const lost = () => new Response(JSON.stringify(LOST), { status: 500 });
// What stands before the server may answer with a page.
const understood = (answer) => (answer.headers.get("content-type")?.includes("json") ? answer : lost());
// Of a session whose last stream was closed while its next event was being taken in.
const FORGOTTEN = '"session_not_found":true';

// Whole messages alone, and a last one however the stream ends.
function unbroken(body) {
  const reader = body.getReader();
  let left = new Uint8Array(), closed = false;
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      const all = new Uint8Array([...left, ...(value ?? [])]);
      let end = all.lastIndexOf(10);
      while (end > 0 && all[end - 1] !== 10) end = all.lastIndexOf(10, end - 1);
      left = all.slice(end + 1);
      const whole = all.slice(0, end + 1), text = new TextDecoder().decode(whole);
      closed ||= text.includes('"msg":"close_stream"');
      const forgotten = text.includes(FORGOTTEN);
      if (!forgotten) controller.enqueue(whole);
      if (!done && !forgotten) return;
      line.cut = line.unheard = !closed;
      if (!closed) controller.enqueue(END);
      controller.close();
    },
    cancel: (why) => reader.cancel(why),
  });
}

// By what is asked for; another part may add its own.
const ways = Object.assign((window.ways ??= {}), {
  async "queue/data"(asked, options) {
    const { ok, body, headers } = await usual(asked, options).catch(() => ({}));
    line.cut = !ok && !headers;
    line.unheard = !ok;
    return new Response(ok ? unbroken(body) : END, { headers: { "Content-Type": "text/event-stream" } });
  },
  async "queue/join"(asked, options) {
    const answer = await usual(asked, options).then(understood).catch(lost);
    if (!answer.ok) line.cut = line.unheard = true;
    return answer;
  },
  "run/predict": (asked, options) => usual(asked, options).then(understood).catch(lost),
});

const usual = window.fetch;
window.fetch = (asked, options) => {
  const { pathname } = new URL(asked.url ?? asked, document.baseURI);
  return (ways[pathname.split("/gradio_api/")[1]] ?? usual)(asked, options);
};
