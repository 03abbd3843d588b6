// Of several scenes, those that were not taken: they stay in the field, and why stands below it.
function show() {
  const { said = "", scenes } = props.value ?? {}, prompt = document.querySelector("#prompt textarea");
  element.querySelector("p").textContent = said;
  if (typeof scenes !== "string") return;
  prompt.value = scenes;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
}

watch("value", show);
show();
