// What the page does on its own: counting, the soft backdrop of the stage, the presenter view.
const OPENERS = { "#subject": "#subject [data-name='Upload file']", "#link": "#by-link .label-wrap:not(.open)" };
// Gradio has these in English alone.
const GRADIOS = {
  "Upload file": () => say("Upload file"),
  "Capture from camera": () => say("Capture from camera"),
  "Paste from clipboard": () => say("Paste from clipboard"),
  "Remove Image": () => say("Remove the portrait"),
  "play-pause-replay-button": () => say("Play or pause"),
  "Adjust volume": () => say("Adjust the volume"),
  "full-screen": () => say("Full screen"),
};

window.s2v = {
  minutes: (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`,
  // As their readers count: words, and the characters of Chinese and Japanese, which have no spaces between words.
  words: (text) => (text.match(/[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]|[^\s\p{P}\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]+/gu) ?? []).length,
  // The scenes of a text, one a line.
  scenes: (text) => [...new Set(text.split(/[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/).map((line) => line.trim()).filter(Boolean))],
  // A scene, as if it were typed: Gradio and the counting hear of it.
  write(text) {
    const prompt = document.querySelector("#prompt textarea");
    prompt.focus({ preventScroll: true });
    prompt.select();
    // What stood there comes back with Ctrl+Z.
    if (!document.execCommand("insertText", false, text)) {
      prompt.value = text;
      prompt.dispatchEvent(new Event("input", { bubbles: true }));
    }
    // On a phone the keyboard would cover the page.
    if (matchMedia("(pointer: coarse)").matches) prompt.blur();
  },
  count(text, mostCharacters, mostWords) {
    s2v.recount = () => s2v.count(text, mostCharacters, mostWords);
    // Of several scenes, of the longest.
    const scenes = s2v.scenes(text), longest = scenes.reduce((long, each) => (each.length > long.length ? each : long), "");
    const characters = [...longest].length, units = s2v.words(longest);
    const box = document.querySelector("#prompt");
    box.dataset.long = characters > mostCharacters ? "stop" : units > mostWords ? "advice" : "";
    box.dataset.count =
      scenes.length > 1 && !box.dataset.long ? say("{count} clips of this face", { count: scenes.length })
      : characters > 0.9 * mostCharacters ? say("{count} of {most} characters", { count: characters, most: mostCharacters })
      : units > mostWords ? say("{count} words, under {most} is advised", { count: units, most: mostWords })
      : says(units, "{count} word", "{count} words");
    nameLack();
  },
  backdrop(photo) {
    const url = photo?.url ?? document.querySelector(".sample img")?.src;
    const picture = url ? `url(${JSON.stringify(url)})` : "none";
    for (const name of ["--portrait", "--chosen"]) document.documentElement.style.setProperty(name, picture);
  },
  // What was paid for is gone at the second click: the first one asks.
  asks(button) {
    const text = [...button.childNodes].findLast((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const asked = text.data === say("Delete for good?");
    const back = () => (text.data = say("Delete"));
    text.data = asked ? say("Delete") : say("Delete for good?");
    if (!asked) {
      // Safari gives no button the focus that is clicked.
      button.focus();
      button.addEventListener("blur", back, { once: true });
    }
    return !asked;
  },
  // Gradio mounts some fields only when what is around them is opened, and each in a moment of its own.
  async mounted(selector) {
    for (let frames = 0; frames < 60; frames++) {
      const found = document.querySelector(selector);
      if (found) return found;
      if (frames === 10) document.querySelector(OPENERS[selector.split(/[ :]/)[0]])?.click();
      await new Promise(requestAnimationFrame);
    }
  },
  // Brings a person to what a button is about: a field gets the focus, a button or a file chooser is clicked.
  async lead(selector) {
    const found = await s2v.mounted(selector), sheet = document.querySelector("#makers[popover]:not(:popover-open)");
    if (sheet?.contains(found)) sheet.showPopover();
    // What is done by now leads on to the main button.
    if (found?.type !== "file" && !found?.checkVisibility()) return document.querySelector("#generate").focus();
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    // What a card of the history opens is shown where one is.
    if (!found.closest(".clips")) found.scrollIntoView({ block: "center", behavior });
    found.matches("textarea, input:not([type=checkbox], [type=radio], [type=file])") ? found.focus() : found.click();
  },
  // A photo that is dropped or pasted anywhere on the page takes the place of the one before.
  async take(file) {
    document.querySelector("#subject [data-name='Remove Image']")?.click();
    await s2v.mounted("#subject input[type=file]");
    // What has just been mounted may listen from the next frame on.
    await new Promise(requestAnimationFrame);
    const input = document.querySelector("#subject input[type=file]"), files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  },
  photo: (files) => [...files].find((file) => file.type.startsWith("image/")),
  // What the order still lacks, and where it is entered.
  lacks() {
    const find = (selector) => document.querySelector(selector), consent = find("#consent input");
    const link = find("#link :is(input, textarea)");
    if (!find("#subject .image-frame") && !link?.value.trim()) return [say("Choose a portrait"), "#subject input[type=file]"];
    if (find("#preflight [data-crop=true]")) return [say("Crop to fit"), "#crop"];
    if (find("#preflight [data-state=rejected]")) return [say("Choose another portrait"), "#subject [data-name='Remove Image']"];
    if (s2v.scenes(find("#prompt textarea")?.value ?? "").length > 6) return [say("Leave out scenes: 6 at most"), "#prompt textarea"];
    if (find("#prompt")?.dataset.long === "stop") return [say("Shorten the scene"), "#prompt textarea"];
    if (!find("#prompt textarea")?.value.trim()) return [say("Write the scene"), "#prompt textarea"];
    if (consent?.checkVisibility() && !consent.checked) return [say("Confirm that you may use this face"), "#consent input"];
    return ["", ""];
  },
  // The view for a wall: P or the button, and Escape to leave it.
  present(on) {
    document.body.classList.toggle("presenting", on);
    document.body.dataset.leave = say("Press Esc to leave");
    const url = new URL(location);
    on ? url.searchParams.set("present", 1) : url.searchParams.delete("present");
    history.replaceState(null, "", url);
  },
  // Shown from the click on, whenever the answer comes.
  preparing(card, fresh, prompt) {
    s2v.unanswered = false;
    return [{ ...fresh, title: say("Preparing"), at: card.at }, { prompt: s2v.scenes(prompt)[0] ?? "" }];
  },
  // The tickets of those jobs of which somebody asked to be told.
  awaited: new Set(),
  announce(ticket, scene, ready) {
    if (!s2v.awaited.delete(ticket)) return;
    if (ready) s2v.chime();
    // A phone shows none from a page without a service worker, and throws.
    try {
      new Notification(ready ? say("Your clip is ready") : say("No clip came of it"), { body: scene, icon: document.querySelector("link[rel~=icon]")?.href });
    } catch {}
  },
  // The form with what a job was made of; whether it has come to that.
  async fill(ticket) {
    if (s2v.form === ticket) return true;
    document.querySelector("#again").click();
    for (let tenths = 0; tenths < 100 && s2v.form !== ticket; tenths++) await new Promise((go) => setTimeout(go, 100));
    return s2v.form === ticket;
  },
  // Two soft tones, for who asked to be told.
  chime() {
    const audio = new AudioContext(), now = audio.currentTime;
    for (const [tone, at] of [[660, 0], [880, 0.18]]) {
      const source = new OscillatorNode(audio, { frequency: tone }), loud = new GainNode(audio, { gain: 0 });
      loud.gain.setValueAtTime(0, now + at);
      loud.gain.linearRampToValueAtTime(0.08, now + at + 0.03);
      loud.gain.exponentialRampToValueAtTime(0.0001, now + at + 0.7);
      source.connect(loud).connect(audio.destination);
      source.start(now + at);
      source.stop(now + at + 0.7);
      source.onended = () => at && audio.close();
    }
  },
};
if (new URLSearchParams(location.search).get("present")) s2v.present(true);

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select");
  if (event.key.toLowerCase() === "p" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) s2v.present(true);
});

// What had the focus can go by what it did: then the card has it, or on the wall the stage. What was only moved gets it back.
let focused;
addEventListener("pointerdown", ({ target }) => focused?.contains(target) || (focused = undefined), true);
addEventListener("focusin", ({ target }) => (focused = target));
setInterval(() => {
  if (!focused || document.activeElement !== document.body) return;
  const places = [focused, ...document.querySelectorAll("#status h2, #status .stage")];
  places.find((each) => each.isConnected && each.checkVisibility())?.focus({ preventScroll: true });
}, 200);

// On the wall, what nobody touches goes after two seconds.
let hiding = 0;
for (const kind of ["pointermove", "pointerdown", "keydown"]) {
  addEventListener(kind, () => {
    document.body.dataset.still = false;
    clearTimeout(hiding);
    hiding = setTimeout(() => (document.body.dataset.still = true), 2000);
  });
}

// Escape and a click elsewhere leave what lies over the page.
function leave(event) {
  const box = document.querySelector("#own-key"), label = box?.querySelector(".label-wrap.open");
  if (label && (event.type === "keydown" || !document.querySelector("#makers").contains(event.target))) {
    label.click();
    if (box.contains(document.activeElement)) label.focus();
  }
  if (event.type === "keydown") s2v.present(false);
}
addEventListener("keydown", (event) => event.key === "Escape" && leave(event));
addEventListener("pointerdown", leave);

// On a phone, who makes the clip is chosen on a sheet; the pill names what is chosen.
const narrow = matchMedia("(max-width: 820px)");
narrow.onchange = () => (document.querySelector("#makers").popover = narrow.matches ? "auto" : null);
narrow.onchange();
function namePill() {
  const pill = document.querySelector(".pill span"), chosen = document.querySelector("#service label:has(:checked)")?.textContent.trim();
  if (pill && chosen && pill.textContent !== chosen) pill.textContent = chosen;
}

// The main button names what is missing, and leads there.
function nameLack() {
  const button = document.querySelector("#generate"), [lack] = s2v.lacks();
  if (!button || (button.dataset.lacks ?? "") === lack) return;
  button.dataset.lacks = button.ariaLabel = lack;
  if (!lack) button.removeAttribute("aria-label");
}
// Gradio has labels and names where a reader of the page needs headings and names that are said once.
function nameParts() {
  for (const title of document.querySelectorAll("#subject [data-testid=block-label], #prompt [data-testid=block-info]")) {
    if (!title.role) Object.assign(title, { role: "heading", ariaLevel: 2 });
  }
  for (const icon of document.querySelectorAll(".sample img[alt]:not([alt=''])")) icon.alt = "";
  for (const icon of document.querySelectorAll("#subject button[aria-label], #clip [role=button][aria-label], #clip button[aria-label]")) {
    icon.dataset.name ??= icon.ariaLabel;
    const name = GRADIOS[icon.dataset.name]?.() ?? icon.dataset.name;
    if (icon.ariaLabel !== name) icon.ariaLabel = icon.title = name;
  }
  // The button around it says what it does.
  for (const drawn of document.querySelectorAll("#clip svg[aria-label]")) drawn.removeAttribute("aria-label");
}

// What is wrong stands at its field until somebody changes it.
s2v.wrong = (selector, sentence) => {
  for (const old of document.querySelectorAll(".wrong")) old.remove();
  const field = selector.startsWith("#") && sentence && document.querySelector(selector.split(/[ :]/)[0]);
  if (field && !field.matches("button") && field.closest("#order")) field.append(Object.assign(document.createElement("p"), { className: "wrong", textContent: sentence }));
};

for (const kind of ["input", "change"]) addEventListener(kind, () => (nameLack(), namePill()));
addEventListener("language", () => {
  document.body.dataset.leave = say("Press Esc to leave");
  s2v.recount?.();
  nameParts();
});
for (const kind of ["input", "change"]) addEventListener(kind, () => s2v.wrong("", ""));
new MutationObserver(() => (nameLack(), nameParts(), namePill())).observe(document.body, { subtree: true, childList: true, attributeFilter: ["class", "style"] });

addEventListener("click", (event) => {
  const button = event.target.closest?.("#delete, #generate, .sample");
  const [lack, where] = button?.id === "generate" ? s2v.lacks() : [];
  if (lack || (button?.id === "delete" && s2v.asks(button))) event.stopImmediatePropagation();
  if (lack) where.startsWith("#consent") ? document.querySelector(where).focus() : s2v.lead(where);
  // Else the focus is lost with what was clicked.
  else if (button?.id === "generate") document.querySelector("#status h2").focus({ preventScroll: true });
  else if (button?.matches(".sample") && matchMedia("(pointer: fine)").matches) {
    document.querySelector("#prompt textarea").focus({ preventScroll: true });
  }
}, true);
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.closest?.("#order")) {
    document.querySelector("#generate").click();
  }
});

const within = (event) => event.target.closest?.("#subject .upload-container");
const photoOf = (data) => s2v.photo(data.files);
addEventListener("dragover", (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
addEventListener("drop", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  const photo = photoOf(event.dataTransfer);
  if (photo && !within(event)) s2v.take(photo);
});
addEventListener("paste", (event) => {
  const photo = photoOf(event.clipboardData), inText = event.target.closest?.("textarea, input");
  if (!photo || (inText && event.clipboardData.types.includes("text/plain"))) return;
  event.preventDefault();
  s2v.take(photo);
});
