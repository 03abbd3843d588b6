// The portrait's face beside the clip's, or beside five frames of one without; the sentence. They are on the stage while
// there is no clip yet.
const find = (selector) => element.querySelector(selector);
const reference = find(".reference"), photo = find("img"), row = find(".stills"), save = find(".save");
const status = () => document.querySelector("#status"), video = () => status().querySelector("#clip video");

function show() {
  const { reference: portrait, stills, faces, seen, said, prompt, made, simulated } = props.value ?? {};
  // A simulated clip says in its pictures what it is.
  element.dataset.generated = Boolean(made && !simulated);
  element.dataset.shown = Boolean(stills || portrait);
  reference.hidden = !portrait;
  find(".arrow").hidden = !portrait || !stills;
  if (portrait !== photo.getAttribute("src")) compare(false);
  if (portrait && portrait !== photo.src) photo.src = portrait;
  // The portrait of the job on show, where it is known, is what the stage is made of.
  status().style.setProperty("--portrait", portrait ? `url(${JSON.stringify(portrait)})` : "");
  find(".caption").textContent = prompt ?? "";
  find(".made").textContent = made ?? "";
  find(".said").textContent = said ?? "";
  // Large it is the whole portrait.
  element.dataset.aligned = Boolean(faces && seen.reference);
  element.style.setProperty("--faces", faces ? `url(${JSON.stringify(faces)})` : "");
  if (faces) return row.replaceChildren(...seen.frames.map(face));
  row.replaceChildren();
  if (!stills) return;
  const strip = new Image();
  strip.onload = () => {
    // Another clip may be on show by now.
    if (stills !== props.value?.stills) return;
    const ratio = strip.naturalWidth / 5 / strip.naturalHeight;
    row.replaceChildren(...[0, 1, 2, 3, 4].map((number) => still(number, stills, ratio)));
  };
  strip.src = stills;
}

// The first of them is the portrait's.
function face([seconds, found], number) {
  const at = say("{seconds} s", { seconds: seconds.toFixed(1) }), node = place(found ? say("Face at {time}", { time: at }) : say("No face at {time}", { time: at }), () => seconds);
  node.dataset.found = found;
  node.style.setProperty("--place", `${(100 * (number + 1)) / props.value.seen.frames.length}%`);
  return node;
}

function still(number, stills, ratio) {
  const frame = place(say("Frame {number} of 5", { number: number + 1 }), (clip) => (clip.duration * (number + 0.5)) / 5);
  frame.style.aspectRatio = ratio;
  frame.style.setProperty("--strip", `url(${JSON.stringify(stills)})`);
  frame.style.setProperty("--place", `${25 * number}%`);
  return frame;
}

// Leads to its place in the clip, and stops there.
function place(label, second) {
  const node = document.createElement("button");
  node.type = "button";
  node.ariaLabel = label;
  node.onclick = () => {
    const clip = video();
    if (!clip?.duration) return;
    // Until that frame is there.
    save.hidden = true;
    clip.pause();
    clip.currentTime = second(clip);
  };
  return node;
}

function compare(large) {
  reference.ariaPressed = element.dataset.large = large;
}

reference.onclick = () => compare(element.dataset.large !== "true");

// A frame can be kept while the clip stands still.
save.onclick = () => {
  const clip = video(), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [clip.videoWidth, clip.videoHeight];
  canvas.getContext("2d").drawImage(clip, 0, 0);
  const name = decodeURIComponent(clip.currentSrc.split("/").pop()).replace(/\.mp4.*$/, "");
  canvas.toBlob((png) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(png) });
    link.download = `${name}-${clip.currentTime.toFixed(2)}s.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
};
for (const kind of ["play", "pause", "seeking", "seeked", "emptied"]) {
  status().addEventListener(kind, ({ target: clip }) => {
    if (clip.closest("#clip")) save.hidden = !clip.paused || clip.seeking || clip.readyState < 2;
  }, true);
}

watch("value", show);
addEventListener("language", show);
show();
