// The tickets that this browser keeps, newest first, each with whether its clip was paid for. Other tabs change the list,
// too: it is read, changed and written at the moment of writing.
const name = "s2v-clips", most = 100;
// Where the browser denies its storage, or has no room: as long as the page is open.
let memory = [], denied = false;

function read() {
  if (denied) return memory;
  try {
    const kept = JSON.parse(localStorage.getItem(name));
    return Array.isArray(kept) ? kept.filter((each) => typeof each?.[0] === "string") : [];
  } catch {
    return memory;
  }
}

function write(kept) {
  memory = kept;
  try {
    localStorage.setItem(name, JSON.stringify(kept));
  } catch {
    denied = true;
  }
}

function change() {
  const { keep, forget, form } = props.value ?? {};
  if (form) s2v.form = form;
  if (!keep && !forget) return;
  const others = read().filter(([ticket]) => !keep?.some(([kept]) => kept === ticket) && ticket !== forget);
  let free = 0;
  write([...(keep ?? []), ...others].filter(([, paid]) => paid || ++free <= most));
  // Another tab may have told of the list without it.
  tell();
}

// A presenter's window goes on to the newest.
const tell = () =>
  trigger("kept", {
    tickets: read().slice(0, 500).map(([ticket]) => ticket),
    follow: document.body.classList.contains("presenting"),
  });

watch("value", change);
addEventListener("storage", (event) => event.key === name && tell());
tell();
