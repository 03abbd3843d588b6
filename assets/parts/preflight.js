// What becomes of a file, what will be sent of the photo, and what should be known before it costs. All text goes in as
// textContent.
const news = element.querySelector(".news"), verdict = element.querySelector(".verdict");
const list = element.querySelector(".warnings");

function make(tag, text, name = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = name;
  return node;
}

function show() {
  const { facts, warnings, rejected, crop, turn, face, seen, job } = props.value ?? {};
  // The form has been filled in with what this job was made of.
  if (job) s2v.form = job;
  const state = facts ? (warnings.length ? "careful" : "ready") : rejected ? "rejected" : "";
  element.querySelector("div").dataset.state = state;
  Object.assign(element.dataset, { crop: Boolean(crop), turn: Boolean(turn), face: Boolean(face) });
  const word = { ready: say("✓ Ready"), careful: say("Usable, but check"), rejected: say("Not accepted") }[state];
  verdict.replaceChildren(
    ...(word ? [make("strong", word), ` ${facts ? facts.join(" · ") : rejected}`] : []),
  );
  list.replaceChildren(...(warnings ?? []).map((warning) => make("li", warning)));
  if (seen && !warnings.length) list.append(make("li", say("A face was found. Whether the service takes the photo is for the service to say."), "quiet"));
}

function tell(text, { refused = false, share = "" } = {}) {
  news.dataset.refused = refused;
  // The words are said once, and not at each step.
  if (news.firstChild?.data !== text) news.replaceChildren(text, make("span", ""));
  const part = news.querySelector("span");
  part.ariaHidden = true;
  part.textContent = share;
}

// Empty if the file may be the portrait.
function refusal({ name, size, type }) {
  // Browsers have no type for some pictures, and odd ones for others.
  const kind = /^(image\/|$)/.test(type) && (name.match(/\.(\w+)$/)?.[1] ?? type.slice(6));
  // The camera's has a name alone.
  const named = (type || `image/${name.split(".").pop().toLowerCase()}`).replace(/\/p?jpg$|\/pjpeg$/, "/jpeg");
  if (!props.takes.types.includes(named)) return kind ? props.takes.kind.replace("{kind}", kind.toUpperCase()) : props.takes.no_picture;
  return size > props.takes.bytes ? props.takes.size.replace("{given}", Math.ceil(size / 1e5) / 10) : "";
}

// The XMP of an MP4, as it stands in the file: no more than this leaves the browser. Empty if there is none.
async function xmpOf(file) {
  const read = async (start, size) => new DataView(await file.slice(start, start + size).arrayBuffer());
  for (let start = 0, count = 0; start + 8 <= file.size && count < 1000; count++) {
    const head = await read(start, 24);
    let size = head.getUint32(0);
    const kind = String.fromCharCode(...new Uint8Array(head.buffer, 4, 4));
    if (size === 1) size = Number(head.getBigUint64(8));
    if (size === 0) size = file.size - start;
    if (size < 8 || start + size > file.size) return "";
    const name = kind === "uuid" && [...new Uint8Array(head.buffer, 8, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (name === props.takes.xmp && size - 24 > props.takes.most) throw Error("large");
    if (name === props.takes.xmp) return String.fromCharCode(...new Uint8Array((await read(start + 24, size - 24)).buffer));
    start += size;
  }
  return "";
}

// Before Gradio hears of the file, and before the page takes the portrait away for it.
function look(event) {
  // Word and Excel paste their text as a picture, too.
  const text = event.clipboardData?.types.includes("text/plain") && event.target.closest?.("textarea, input");
  if (text) return;
  const chosen = event.target.matches?.("#subject input[type=file]") ? event.target : undefined;
  const files = (event.type === "change" ? chosen : event.dataTransfer ?? event.clipboardData)?.files ?? [];
  const file = s2v.photo(files) ?? files[0];
  const clip = file && (file.type === "video/mp4" || /\.mp4$/i.test(file.name));
  const why = clip ? say("Reading what the clip says of itself.") : file && refusal(file);
  if (clip) xmpOf(file).then((packet) => trigger("clip", { packet: btoa(packet) }), () => tell(props.takes.large, { refused: true }));
  if (!why) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  tell(why, { refused: !clip });
  // Gradio goes on to show where to drop.
  event.target.closest?.("#subject .upload-container")?.dispatchEvent(new DragEvent("dragleave"));
}

// To Gradio, what did not arrive is an empty list: it would speak of statuses.
const send = (url, { body, headers = {} }) => new Promise((answer) => {
  const request = new XMLHttpRequest(), why = refusal(body.get("files"));
  const fail = (sentence) => {
    tell(sentence, { refused: true });
    answer(new Response("[]"));
  };
  if (why) return fail(why);
  tell(say("Uploading"));
  request.upload.onprogress = ({ lengthComputable, loaded, total }) => {
    if (lengthComputable) tell(say("Uploading"), { share: ` · ${Math.floor((100 * loaded) / total)} %` });
  };
  request.onerror = () => fail(say("The portrait did not arrive. Check your connection, then choose it again."));
  request.onload = () => {
    if (request.status !== 200) {
      // A sentence of the studio's; what stands before it may answer with a page.
      const ours = request.getResponseHeader("content-type")?.startsWith("text/plain");
      return ours ? fail(request.responseText) : request.onerror();
    }
    tell("");
    answer(new Response(request.responseText));
  };
  request.open("POST", url);
  new Headers(headers).forEach((value, name) => request.setRequestHeader(name, value));
  request.send(body);
});

// Gradio asks the server how much has arrived; the browser knows, and what lies between cannot hold it back.
Object.assign((window.ways ??= {}), { upload: send, upload_progress: async () => new Response() });

// Gradio makes the field anew for each portrait, for pictures of any kind. Three named ones let Safari convert HEIC.
function narrow() {
  const field = document.querySelector("#subject input[type=file]"), accept = props.takes.types.join();
  if (field && field.accept !== accept) field.accept = accept;
}

for (const kind of ["change", "drop", "paste"]) addEventListener(kind, look, true);
new MutationObserver(narrow).observe(document.body, { subtree: true, childList: true });
narrow();
watch("value", () => {
  tell(props.value?.clip ?? "");
  show();
});
show();
