// This browser's clips, newest first. The server knows them by their tickets alone.
const beside = element.querySelector(".under-way"), list = element.querySelector(".mine");
const spans = [[60, "second"], [60, "minute"], [24, "hour"], [Infinity, "day"]];
const relative = () => new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto" });

function ago(seconds) {
  let amount = Math.max(0, seconds);
  for (const [most, unit] of spans) {
    if (amount < most) return unit === "second" ? say("now") : relative().format(-Math.floor(amount), unit);
    amount /= most;
  }
}

function button(text, name, label, act) {
  const node = document.createElement("button");
  node.type = "button";
  node.textContent = text;
  node.className = name;
  node.ariaLabel = label;
  node.onclick = () => act(node);
  return node;
}

// Which clip is heard by who does not see beside what it stands.
function remove({ ticket, prompt }) {
  const node = button(say("Delete"), "remove", null, () => s2v.asks(node) || trigger("remove", { ticket }));
  node.append(Object.assign(document.createElement("span"), { className: "heard", textContent: say(": {scene}", { scene: prompt }) }));
  return node;
}

// How far it is: Prepare, Send, Queue, Render, Save.
function bar(begun) {
  const node = Object.assign(document.createElement("span"), { className: "bar" });
  for (let stage = 1; stage <= 5; stage++) {
    node.append(Object.assign(document.createElement("i"), { className: stage < begun ? "passed" : stage === begun ? "now" : "" }));
  }
  return node;
}

function card(job) {
  const item = document.createElement("li");
  item.dataset.ticket = job.ticket;
  const open = button("", "open", null, () => {
    trigger("open", { ticket: job.ticket });
    document.querySelector("#status").scrollIntoView({ block: "nearest" });
  });
  open.dataset.plays = job.plays;
  const picture = document.createElement("span");
  picture.className = "poster";
  if (job.poster) picture.style.backgroundImage = `url(${JSON.stringify(job.poster)})`;
  if (job.state) picture.append(Object.assign(document.createElement("b"), { textContent: job.state }));
  picture.classList.toggle("running", job.running);
  const prompt = Object.assign(document.createElement("span"), { className: "words", textContent: job.prompt });
  const facts = Object.assign(document.createElement("span"), { className: "quiet" }), since = performance.now();
  item.tick = () => {
    const seconds = job.seconds + (performance.now() - since) / 1000;
    const time = job.running ? s2v.minutes(seconds) : ago(job.now - job.at + (performance.now() - since) / 1000);
    facts.textContent = [time, job.price].filter(Boolean).join(" · ");
  };
  item.tick();
  open.append(picture, prompt, facts);
  if (job.running) open.append(bar(job.stages));
  item.append(open);
  if (job.plays) item.append(pick(job));
  if (!job.running) item.append(remove(job));
  return item;
}

// Those that are to be joined or compared, in the order of the cards.
const picked = new Set(), joining = element.querySelector(".joining");
const join = element.querySelector(".join"), compare = element.querySelector(".compare");

function pick({ ticket, prompt }) {
  const label = Object.assign(document.createElement("label"), { className: "pick" });
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: picked.has(ticket) });
  box.ariaLabel = say("Join or compare: {scene}", { scene: prompt });
  box.onchange = () => {
    box.checked ? picked.add(ticket) : picked.delete(ticket);
    offer();
  };
  label.append(box);
  return label;
}

const order = () => props.value.clips.filter(({ ticket, plays }) => plays && picked.has(ticket)).map(({ ticket }) => ticket);

function offer() {
  const count = order().length;
  joining.hidden = count < 2;
  compare.hidden = count !== 2;
  join.textContent = count > 6 ? say("A reel has 6 clips at most") : say("Join {count} clips as a reel", { count });
}

join.onclick = () => {
  if (order().length > 6) return;
  join.textContent = say("Joining");
  trigger("join", { tickets: order() });
};
compare.onclick = () => trigger("compare", { tickets: order() });

let latest = 0, drawn = new Map();

// What has not changed stays as it is: it may have the focus, or be in the middle of a click.
function show() {
  const { clips, more, at, kept } = props.value;
  if (at < latest) return;
  latest = element.dataset.at = at;
  if (kept) element.querySelector(".kept").textContent = kept;
  const before = drawn;
  drawn = new Map();
  for (const job of clips) {
    const said = JSON.stringify({ ...job, now: 0, seconds: 0 }), old = before.get(job.ticket);
    const node = old?.said === said ? old.node : card(job);
    if (old && old.node !== node) old.node.replaceWith(node);
    drawn.set(job.ticket, { said, node });
  }
  // Here, where jobs are that are not on show, too.
  for (const { ticket, running, ready, prompt } of clips) {
    if (!running) window.s2v?.announce(ticket, prompt, ready);
  }
  all.hidden = !more;
  all.textContent = say("Show {count} more", { count: more });
  offer();
  place();
}

// Those that are under way stand under the stage; the one that is on it has its card among the others.
function place() {
  const stage = document.querySelector("#status .card"), columns = document.querySelector("#columns");
  // There is nothing yet when this part is mounted.
  if (columns && beside.parentElement !== columns) {
    columns.append(beside);
    new MutationObserver(place).observe(stage, { attributeFilter: ["data-ticket"] });
  }
  const { clips, more } = props.value, away = clips.filter(({ ticket, running }) => running && ticket !== stage?.dataset.ticket);
  fill(beside.querySelector("ul"), away);
  fill(list, clips.filter((job) => !away.includes(job)));
  beside.hidden = !away.length;
  for (const [ticket, { node }] of drawn) node.querySelector(".open").ariaCurrent = ticket === stage?.dataset.ticket;
  element.dataset.empty = away.length === clips.length && !more;
}

function fill(row, clips) {
  const nodes = clips.map(({ ticket }) => drawn.get(ticket).node);
  for (const node of [...row.children]) nodes.includes(node) || node.remove();
  nodes.forEach((node, at) => row.children[at] === node || row.insertBefore(node, row.children[at] ?? null));
}

addEventListener("language", () => {
  drawn.clear();
  show();
});

const all = element.querySelector(".all");
all.onclick = () => trigger("all");
watch("value", show);
show();
setInterval(() => [...drawn.values()].forEach(({ node }) => node.tick()), 1000);
