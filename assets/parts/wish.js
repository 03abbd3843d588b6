// The line to the server, as Gradio is to see it. To Gradio a stream that is refused or cut is a reason to load the page
// anew, which loses what was typed. Here such a stream ends without a word, and the page asks how its jobs are.
const bytes = (text) => new TextEncoder().encode(text);
const END = bytes('data: {"msg":"unexpected_error","message":[],"success":false}\n\ndata: {"msg":"close_stream"}\n\n');
const LOST = { error: "The server did not answer. Check your connection." };

// Whole messages alone, and a last one however the stream ends.
function unbroken(body) {
  const reader = body.getReader();
  let left = new Uint8Array();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      if (done) {
        s2v.cut = true;
        controller.enqueue(END);
        return controller.close();
      }
      const all = new Uint8Array([...left, ...value]);
      let end = all.lastIndexOf(10);
      while (end > 0 && all[end - 1] !== 10) end = all.lastIndexOf(10, end - 1);
      left = all.slice(end + 1);
      controller.enqueue(all.slice(0, end + 1));
    },
    cancel: (why) => reader.cancel(why),
  });
}

const usual = window.fetch;
window.fetch = async (asked, options) => {
  const { pathname } = new URL(asked.url ?? asked, document.baseURI);
  if (pathname.endsWith("/gradio_api/queue/data")) {
    const { ok, body, headers } = await usual(asked, options).catch(() => ({}));
    s2v.cut = !ok && !headers;
    return new Response(ok ? unbroken(body) : END, { headers: { "Content-Type": "text/event-stream" } });
  }
  if (pathname.endsWith("/gradio_api/run/predict")) {
    return usual(asked, options).catch(() => new Response(JSON.stringify(LOST), { status: 500 }));
  }
  return usual(asked, options);
};
