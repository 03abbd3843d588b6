// Finished clips on the stage until there is one of one's own; in the presenter view, when nobody has done anything.
const find = (selector) => element.querySelector(selector);
const { address, code } = props.value;
let { examples } = props.value;
// These leave this part for the stage.
const playing = find(".playing"), video = find("video"), inset = find(".inset"), sentence = find(".sentence"), played = find(".played");
const shared = find(".shared"), pause = find(".pause");
const still = matchMedia("(prefers-reduced-motion: reduce)");
// Milliseconds on the wall: until it rests, and for each clip while it does.
const rest = 60_000, each = 12_000;
let chosen = -1, paused = false, active = performance.now(), changed = 0, turn = 0;

function play(number) {
  const example = examples[(chosen = number)];
  paused = false;
  video.poster = example.poster;
  inset.src = example.portrait;
  playing.dataset.real = !example.simulated;
  tell();
  [...find("ul").children].forEach((item, place) => item.firstChild.setAttribute("aria-current", place === number));
  video.src = example.clip;
  go();
}

function tell() {
  const { scene, simulated, made_by: maker } = examples[chosen];
  sentence.textContent = scene;
  playing.dataset.label = say("AI GENERATED");
  find(".shelf p").textContent = simulated ? say("Made by the simulator; no model was asked.") : say("Made by {maker}.", { maker });
}

// In another language.
watch("value", () => {
  ({ examples } = props.value);
  examples.forEach(({ scene }, place) => {
    const button = find("ul").children[place].firstChild;
    button.ariaLabel = button.lastChild.textContent = scene;
  });
  if (chosen >= 0) tell();
});
addEventListener("language", () => (pause.textContent = video.paused ? say("Play") : say("Pause")));

const onStage = () => document.querySelector("#status .card").dataset.state === "idle" || document.body.dataset.resting === "true";

// Nothing moves that nobody sees, or that somebody asked not to move.
function go() {
  onStage() && !still.matches && !paused ? video.play().catch(() => {}) : video.pause();
}

function item(example, number) {
  const button = document.createElement("button"), poster = new Image(), words = document.createElement("span");
  button.type = "button";
  button.ariaLabel = example.scene;
  poster.alt = "";
  words.textContent = example.scene;
  button.append(poster, words);
  button.onclick = () => play(number);
  const node = document.createElement("li");
  node.append(button);
  return node;
}

find(".use").onclick = () => trigger("use", { name: examples[chosen].name });
pause.onclick = () => {
  paused = !video.paused;
  video.paused ? video.play() : video.pause();
};
video.onplay = video.onpause = () => (pause.textContent = video.paused ? say("Play") : say("Pause"));
video.ontimeupdate = () => played.style.setProperty("--part", video.currentTime / video.duration || 0);

function begin() {
  document.querySelector("#status .stage").append(playing);
  playing.hidden = false;
  examples.forEach((example, place) => (find("ul").children[place].querySelector("img").src = example.poster));
  play(0);
}

// They have their places at once, and their pictures after what the page itself needs.
find("ul").replaceChildren(...examples.map(item));

function later() {
  "requestIdleCallback" in window ? requestIdleCallback(begin, { timeout: 1000 }) : setTimeout(begin, 200);
}
element.dataset.any = Boolean(examples.length);
if (examples.length) document.readyState === "complete" ? later() : addEventListener("load", later, { once: true });
new MutationObserver(go).observe(document.querySelector("#status .card"), { attributeFilter: ["data-state"] });

shared.hidden = !code;
if (code) {
  shared.querySelector("img").src = code;
  shared.querySelector("span").textContent = address;
}

// The wall rests when no job runs and nobody touches anything: examples and this browser's clips take turns.
for (const kind of ["pointermove", "pointerdown", "keydown"]) addEventListener(kind, () => (active = performance.now()));

function resting() {
  const card = document.querySelector("#status [data-running]"), now = performance.now();
  const running = document.querySelector(".clips li:has(.running) .open"), wall = document.body.classList.contains("presenting");
  if (card.dataset.running === "true" || running || !wall) active = now;
  // A job that began while another clip had its turn.
  if (wall && running && card.dataset.running !== "true" && document.body.dataset.idle === "true") running.click();
  if (now - active < rest) document.body.dataset.resting = document.body.dataset.idle = false;
  else if (now - changed > each) next(now);
}

function next(now) {
  const own = [...document.querySelectorAll("#history li:not(:has(.running)) .open")].filter((open) => open.dataset.plays === "true");
  const place = turn++ % (examples.length + own.length || 1);
  changed = now;
  document.body.dataset.idle = true;
  document.body.dataset.resting = place < examples.length;
  if (place < examples.length) play(place);
  else own[place - examples.length]?.click();
}
setInterval(resting, 1000);
