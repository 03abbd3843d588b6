// The page's language: the server says everything anew, and nothing that was typed is touched.
const buttons = [...element.querySelectorAll("button")], root = document.documentElement;

function press() {
  for (const button of buttons) button.ariaPressed = button.value === root.lang;
}

function show() {
  const { words: said, language } = props.value ?? {};
  if (!said || language !== root.lang) return;
  window.words = said;
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const name of ["aria-label", "alt"]) {
    for (const node of document.querySelectorAll(`[data-say-${name}]`)) node.setAttribute(name, say(node.getAttribute(`data-say-${name}`)));
  }
  dispatchEvent(new Event("language"));
}

for (const button of buttons) {
  button.onclick = () => {
    // What is asked for from now on is asked for in it.
    root.lang = button.value;
    press();
    document.cookie = `s2v-language=${button.value}; path=${location.pathname}; max-age=31536000; SameSite=Lax`;
    trigger("choose", { idle: document.querySelector("#status .card").dataset.state === "idle" });
  };
}
watch("value", show);
press();
