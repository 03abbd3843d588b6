// This browser's clips, newest first. The server knows them by their tickets alone.
const list = element.querySelector(".clips");
const spans = [[60, "second"], [60, "minute"], [24, "hour"], [Infinity, "day"]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

function ago(seconds) {
  let amount = Math.max(0, seconds);
  for (const [most, unit] of spans) {
    if (amount < most) return unit === "second" ? "now" : words.format(-Math.floor(amount), unit);
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

function card(job) {
  const item = document.createElement("li");
  item.dataset.ticket = job.ticket;
  const open = button("", "open", `Open: ${job.prompt}`, () => trigger("open", { ticket: job.ticket }));
  const picture = document.createElement("span");
  picture.className = "poster";
  if (job.poster) picture.style.backgroundImage = `url(${JSON.stringify(job.poster)})`;
  if (job.state) picture.append(Object.assign(document.createElement("b"), { textContent: job.state }));
  picture.classList.toggle("running", job.running);
  const prompt = Object.assign(document.createElement("span"), { className: "words", textContent: job.prompt });
  const facts = Object.assign(document.createElement("span"), {
    className: "quiet",
    textContent: [ago(job.now - job.at), job.price].filter(Boolean).join(" · "),
  });
  open.append(picture, prompt, facts);
  item.append(open);
  if (!job.running) {
    item.append(button("Delete", "remove", "", (node) => s2v.asks(node) || trigger("remove", { ticket: job.ticket })));
  }
  return item;
}

let latest = 0;

function show() {
  const { clips, at } = props.value;
  if (at < latest) return;
  latest = at;
  element.dataset.empty = !clips.length;
  list.replaceChildren(...clips.map(card));
}

watch("value", show);
show();
