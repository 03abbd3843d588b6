// The line to the server, as Gradio is to see it. To Gradio an event whose stream is refused, cut or forgotten is a reason
// to load the page anew, which loses what was typed. Here it ends without a word, and the page asks how its jobs are.
// What became of it, and the events whose end is still to come; the page's own script may come later.
const line = (window.line = { cut: false, unheard: false, waiting: new Set() });
const bytes = (text) => new TextEncoder().encode(text);
const CLOSE = 'data: {"msg":"close_stream"}\n\n';
const END = 'data: {"msg":"unexpected_error","message":[],"success":false}\n\n' + CLOSE;
const lost = () => new Response(JSON.stringify({ error: say("The server did not answer. Check your connection.") }), { status: 500 });
// What stands before the server may answer with a page.
const understood = (answer) => (answer.headers.get("content-type")?.includes("json") ? answer : lost());
// The last one of a stream, or of a session that was forgotten as its next event was being taken in.
const LAST = /^data: .*("msg":"close_stream"|"session_not_found":true)/m;
const ENDED = /^data: .*"msg":"process_completed".*$/gm;
const NEWS = /^data: (.*"msg":"process_generating".*)$/gm;

// An event may have ended before it is known that it has begun.
const early = new Set();
function begin(event) {
  early.delete(event) || line.waiting.add(event);
}
function finish(event) {
  told.delete(event);
  line.waiting.delete(event) || early.add(event);
}

// The last word of a stream: all is well, or all events end.
function last(well) {
  line.cut = line.unheard = !well;
  if (!well) {
    line.waiting.clear();
    for (const event of told.keys()) told.set(event, null);
  }
  return bytes(well ? CLOSE : END);
}

// Gradio tells a generator's values by what differs from those before, and changes these in place, where a part of the
// page may not have read them yet: of two messages that come together the first would be lost. So each has whole values.
// What each event has said so far; null where a stream was cut, or its first word was lost: then it is told no further.
const told = new Map();
const SILENCE = { msg: "heartbeat" };

function whole(message) {
  const { event_id, output } = message, before = told.get(event_id), changes = output?.data;
  if (!changes) return message;
  if (!before) {
    // Differences are lists, and no first value of ours is one.
    const lost = before === null || changes.every(Array.isArray);
    if (before === undefined && lost) line.cut = line.unheard = true;
    told.set(event_id, lost ? null : changes);
    return lost ? SILENCE : message;
  }
  told.set(event_id, before.map((value, place) => changes[place].reduce(changed, value)));
  const data = told.get(event_id).map((value, place) => (changes[place].length ? [["replace", [], value]] : []));
  return { ...message, output: { ...output, data } };
}

function changed(value, [action, path, to]) {
  if (!path.length) return action === "append" ? value + to : to;
  const place = path.at(-1), holder = path.slice(0, -1).reduce((each, key) => each[key], value), list = Array.isArray(holder);
  if (action === "append") holder[place] += to;
  else if (action === "replace" || (action === "add" && !list)) holder[place] = to;
  else if (action === "add") holder.splice(place, 0, to);
  else if (list) holder.splice(place, 1);
  else delete holder[place];
  return value;
}

// Whole messages alone, and a last one however the stream ends.
function unbroken(body) {
  const reader = body.getReader();
  let left = new Uint8Array();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      const all = new Uint8Array([...left, ...(value ?? [])]);
      let end = all.lastIndexOf(10);
      while (end > 0 && all[end - 1] !== 10) end = all.lastIndexOf(10, end - 1);
      left = all.slice(end + 1);
      const text = new TextDecoder().decode(all.slice(0, end + 1)), found = LAST.exec(text);
      const said = found ? text.slice(0, found.index) : text;
      controller.enqueue(bytes(said.replace(NEWS, (_, news) => `data: ${JSON.stringify(whole(JSON.parse(news)))}`)));
      for (const [end] of text.matchAll(ENDED)) finish(JSON.parse(end.slice(5)).event_id);
      if (!found && !done) return;
      // An event that was taken in as the stream was being closed will never be heard of.
      controller.enqueue(last(found?.[1].includes("close") && !line.waiting.size));
      controller.close();
    },
    cancel: (why) => reader.cancel(why),
  });
}

// By what is asked for; another part may add its own.
const ways = Object.assign((window.ways ??= {}), {
  async "queue/data"(asked, options) {
    const { ok, body, headers } = await usual(asked, options).catch(() => ({}));
    const stream = ok ? unbroken(body) : last(false);
    // Who has refused one would refuse the next.
    line.cut = !ok && !headers;
    if (ok) line.unheard = false;
    return new Response(stream, { headers: { "Content-Type": "text/event-stream" } });
  },
  async "queue/join"(asked, options) {
    const answer = await usual(asked, options).then(understood).catch(lost);
    if (answer.ok) begin((await answer.clone().json()).event_id);
    else line.cut = line.unheard = true;
    return answer;
  },
  "run/predict": (asked, options) => usual(asked, options).then(understood).catch(lost),
});

const usual = window.fetch;
window.fetch = (asked, options) => {
  const { pathname } = new URL(asked.url ?? asked, document.baseURI), [, path] = pathname.split("/gradio_api/");
  if (path === undefined) return usual(asked, options);
  // The server answers in the language of the page, which may be another than the browser's.
  const headers = new Headers(options?.headers);
  headers.set("Accept-Language", document.documentElement.lang);
  return (ways[path] ?? usual)(asked, { ...options, headers });
};
