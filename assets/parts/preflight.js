// What will be sent of the photo, and what should be known before it costs. All text goes in as textContent.
const verdict = element.querySelector(".verdict"), list = element.querySelector(".warnings");

function make(tag, text, name = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  node.className = name;
  return node;
}

function show() {
  const { facts, warnings, rejected, crop } = props.value ?? {};
  const state = facts ? (warnings.length ? "careful" : "ready") : rejected ? "rejected" : "";
  element.querySelector("div").dataset.state = state;
  element.dataset.crop = Boolean(crop);
  const word = { ready: "✓ Ready", careful: "Usable, but check", rejected: "Not accepted" }[state];
  verdict.replaceChildren(
    ...(word ? [make("strong", word), ` ${facts ? facts.join(" · ") : rejected}`] : []),
  );
  list.replaceChildren(...(warnings ?? []).map((warning) => make("li", warning)));
  if (facts) list.append(make("li", "One clear human face? We cannot check that for you.", "quiet"));
}

watch("value", show);
show();
