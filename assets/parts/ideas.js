// Whole scenes to try, three for each sample, and toggles for camera and light.
let { scenes, chips, most } = props.value;
const list = element.querySelector(".scenes"), row = element.querySelector(".chips");
const box = () => document.querySelector("#prompt textarea");
let sample = 0, clicked = false;

function button(text, name, act) {
  const node = document.createElement("button");
  node.type = "button";
  node.textContent = text;
  node.className = name;
  node.onclick = act;
  return node;
}

function show() {
  list.replaceChildren(...scenes[sample].map((scene) => button(scene, "scene", () => s2v.write(scene))));
}

const without = (text, phrase) => text.replace(new RegExp(`([,，、] ?| )${phrase}(?=[.,。，、]|$)`, "i"), "");
const has = (text, phrase) => without(text, phrase) !== text;

function toggle(phrase, group) {
  const text = box().value.trim(), on = !has(text, phrase);
  const bare = group.reduce((left, [, each]) => without(left, each), text).replace(/[.,。，、\s]+$/, "");
  s2v.write(on ? say("{scene}, {phrase}.", { scene: bare || say("A portrait"), phrase }) : bare && say("{scene}.", { scene: bare }));
}

// Also once they are in another language.
function offer() {
  ({ scenes, chips, most } = props.value);
  list.dataset.label = say("Try");
  row.replaceChildren(...chips.flatMap((group) => group.map(([label, phrase]) => button(label, "idea", () => toggle(phrase, group)))));
  show();
}

// What is typed, filled in or taken out presses them, too.
function press() {
  const text = box()?.value ?? "";
  chips.flat().forEach(([, phrase], place) => (row.children[place].ariaPressed = has(text, phrase)));
}

// The button names the price of as many clips as there are scenes.
let counted = 1;
function count() {
  const found = window.s2v?.scenes(box()?.value ?? "").length ?? 0, now = Math.max(1, found);
  add.hidden = !found || found >= most;
  if (now === counted || now > most) return;
  trigger("scenes", { count: (counted = now) });
}

// One more line.
const add = element.querySelector(".add");
add.onclick = () => {
  const prompt = box();
  prompt.focus();
  prompt.setSelectionRange(prompt.value.length, prompt.value.length);
  if (prompt.value.trim() && !prompt.value.endsWith("\n")) document.execCommand("insertText", false, "\n");
};

element.querySelector(".next").onclick = () => list.append(list.firstChild);
document.addEventListener("click", (event) => {
  const place = [...document.querySelectorAll(".sample")].indexOf(event.target.closest?.(".sample"));
  if (place < 0) return;
  clicked = true;
  show((sample = place + 1));
});
// The scenes of a sample are for its portrait alone.
new MutationObserver(() => {
  if (document.querySelector("#subject .image-frame")) {
    if (!clicked) show((sample = 0));
    clicked = false;
  }
}).observe(document.documentElement, { attributeFilter: ["style"] });
watch("value", offer);
offer();
setInterval(() => (press(), count()), 250);
