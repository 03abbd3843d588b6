// Fills the status card. The template is constant and every text goes in as textContent:
// this is the one place where the words of people and of the service are made harmless.
const find = (selector) => element.querySelector(selector);
const card = find(".card"), clock = find(".clock"), ending = find(".ending"), facts = find(".facts");
const bell = find(".tell");
const stages = [...element.querySelectorAll("[data-stage]")];
const total = (seconds) => seconds.reduce((sum, [, each]) => sum + each, 0);

function make(tag, text, name = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = name;
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

// What is shown last, the moment at which it was true, and the one at which anything was heard.
let now = props.value, since = performance.now(), heard = since, last = "", ended = "";

const late = () => (now.running ? (performance.now() - since) / 1000 : 0);
const shown = () => total(now.seconds) + late();

function tick() {
  const lasted = new Map(now.seconds), latest = now.seconds.at(-1)?.[0];
  write(clock, latest ? s2v.minutes(shown()) : "");
  for (const stage of stages) {
    const name = stage.dataset.stage, seconds = lasted.get(name), last = name === latest;
    stage.className = seconds === undefined ? "" : !last || now.state === "done" ? "passed" : now.running ? "now" : "failed";
    write(stage.querySelector("time"), seconds === undefined ? "" : s2v.minutes(seconds + (last ? late() : 0)));
  }
}

function show() {
  heard = performance.now();
  if (props.value.at < now.at) return;
  const begins = !now.running && (props.value.running || props.value.ending.length);
  // A late message must not turn the clock back.
  const ahead = now.running && props.value.running ? shown() - total(props.value.seconds) : 0;
  now = props.value;
  since = performance.now() - (ahead > 0 && ahead < 2 ? 1000 * ahead : 0);
  card.dataset.state = now.state;
  card.dataset.charge = now.charge;
  // What was asked about another job.
  if (card.dataset.ticket !== now.ticket) document.querySelector("#delete")?.dispatchEvent(new Event("blur"));
  card.dataset.ticket = now.ticket;
  write(find("h2"), now.title);
  write(find(".line"), now.line);
  write(find(".stage strong"), now.stage[0]);
  write(find(".stage span"), now.stage[1]);
  // How long it took is of no use without the clip.
  find(".stages").hidden = clock.hidden = !now.seconds.length || now.gone;
  element.dataset.running = now.running;
  // Until there is a ticket there is nothing to leave.
  element.dataset.ordered = Boolean(now.running && now.ticket);
  // Over, and still here: it can be used again, and deleted.
  element.dataset.kept = Boolean(!now.running && now.ticket && !now.gone);
  element.dataset.over = Boolean(now.ending.length);
  const ready = now.state === "done" && !now.ending.length;
  bell.hidden = !now.running || !now.ticket || "Notification" in window === false;
  tellBell();
  document.title = `${ready ? `${say("✓ Ready")} · ` : now.running ? `${now.title} · ` : ""}S2V Studio`;
  const over = JSON.stringify([now.ending, now.actions]);
  if (over !== ended) {
    end();
    window.s2v?.wrong((!now.ticket && now.actions[0]?.[1]) || "", now.ending[0]?.[1]);
  }
  ended = over;
  const news = JSON.stringify([now.facts, now.task, now.ticket, now.running]);
  if (news !== last) tell(now.facts);
  last = news;
  tick();
  // On a phone the card is below the button that was clicked.
  const block = matchMedia("(max-width: 820px)").matches ? "start" : "nearest";
  if (begins) element.scrollIntoView({ block, behavior: still.matches ? "auto" : "smooth" });
}

// What happened, whether it was charged, the ticket, what to do, and the buttons that do it.
function end() {
  ending.hidden = !now.ending.length;
  ending.replaceChildren(
    ...now.ending.flatMap(([term, text]) => [make("dt", term), text === now.ticket ? ticket("dd") : told(text)]),
  );
  const row = find(".actions");
  row.hidden = !now.actions.length;
  row.replaceChildren(
    ...now.actions.map(([label, target]) => (target.startsWith("https://") ? link(label, target) : press(label, target))),
  );
}

function told(text) {
  if (typeof text === "string") return make("dd", text);
  const steps = document.createElement("ol");
  steps.append(...text.map((step) => make("li", step)));
  const node = make("dd", "");
  node.append(steps);
  return node;
}

function link(label, url) {
  const node = make("a", label, "action");
  Object.assign(node, { href: url, target: "_blank", rel: "noopener noreferrer" });
  return node;
}

// Does what the button or the field elsewhere on the page does.
function press(label, selector) {
  const node = make("button", label, "action");
  node.type = "button";
  node.onclick = async () => {
    // What is done about a job is done with its portrait and its scene, and the form may hold others by now.
    const form = now.ticket && !now.gone && document.querySelector(selector.split(/[ :]/)[0])?.closest("#order");
    if (form && !(await s2v.fill(now.ticket))) return;
    s2v.lead(selector);
  };
  return node;
}

// A ticket, short where there is little room, and a button that copies the whole of it.
function ticket(tag) {
  const node = make(tag, tag === "dd" ? "" : `${say("Ticket")} `, "ticket");
  const shown = tag !== "dd" ? `${now.ticket.slice(0, 8)}…${now.ticket.slice(-4)}` : now.ticket;
  const copy = make("button", say("Copy"));
  const whole = now.ticket;
  copy.type = "button";
  copy.ariaLabel = say("Copy the ticket");
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(whole);
      copy.textContent = say("Copied");
    } catch {
      node.querySelector("code").textContent = whole;
      getSelection().selectAllChildren(node.querySelector("code"));
    }
  };
  const code = make("code", shown);
  code.title = whole;
  node.append(code, " ", copy);
  return node;
}

function tell(words) {
  facts.hidden = !words.length;
  facts.replaceChildren(...words.map((word) => make("li", word)));
  if (now.task && words.length) {
    facts.append(make("li", `${say("task")} `));
    facts.lastChild.append(make("code", now.task));
  }
  if (now.ticket && words.length) facts.append(ticket("li"));
  measure();
}

// The clip's own figures, from the clip itself, in the place that is kept for them.
function measure() {
  const video = find("#clip video"), place = [...facts.children].find((fact) => !fact.textContent || fact.dataset.measured);
  if (!place || !video?.videoWidth) return;
  place.dataset.measured = true;
  const length = say("{seconds} s", { seconds: video.duration.toFixed(1) });
  write(place, `${video.videoWidth} × ${video.videoHeight} · ${length}`);
}

// One click asks to be told of this job; the next takes it back.
bell.onclick = async () => {
  const { ticket } = now, granted = (await Notification.requestPermission()) === "granted";
  s2v.awaited.delete(ticket) || (granted && s2v.awaited.add(ticket));
  tellBell();
};

function tellBell() {
  const on = Boolean(window.s2v?.awaited.has(now.ticket));
  bell.ariaPressed = on;
  const denied = window.Notification?.permission === "denied";
  write(bell, on ? say("You will be told") : denied ? say("This browser tells nothing") : say("Tell me when it is ready"));
}

// Its captions, of which there are none, fail by themselves.
const player = ({ target }) => target.matches?.("#clip video");

element.addEventListener("loadedmetadata", measure, true);

// Nothing goes round and round for who asked that nothing moves, however often Gradio says that it should.
new MutationObserver(() => still.matches && find("#clip video[loop]")?.removeAttribute("loop")).observe(element, {
  subtree: true,
  childList: true,
  attributeFilter: ["loop"],
});

// A player whose line was cut would stay black.
let tries = 0;
element.addEventListener("playing", () => (tries = 0), true);
element.addEventListener("error", (event) => {
  if (player(event) && tries++ < 10) setTimeout(() => event.target.error && event.target.load(), 1000 * tries);
}, true);
// A page that hears nothing of what is under way asks: it may have no stream, or have lost a word.
async function ask() {
  const history = document.querySelector("#history [data-empty]");
  const wanted = Boolean(now.running || line.unheard || line.waiting.size), running = document.querySelector(".clips .running");
  if (!(wanted || running) || performance.now() - heard < 4000) return;
  heard = performance.now();
  try {
    // An event that fails puts its message on the page. Another start of the server may know other events.
    const { app_id } = await (await fetch("gradio_api/app_id")).json();
    if (app_id !== window.gradio_config.app_id) return location.reload();
  } catch {
    return;
  }
  const lost = Boolean(s2v.unanswered), again = line.cut;
  line.unheard = false;
  trigger("look", { running: wanted, ticket: now.ticket, lost, again, at: Number(history.dataset.at) });
}

watch("value", show);
addEventListener("language", tellBell);
show();
setInterval(() => now.running && tick(), 250);
setInterval(ask, 1000);
