// Of several scenes, those that were not taken: they stay in the field, and why stands below it.
function show() {
  const { said = "", scenes, sent } = props.value ?? {};
  element.querySelector("p").textContent = said;
  // Unless somebody has gone on writing.
  if (typeof scenes === "string" && document.querySelector("#prompt textarea").value === sent) s2v.write(scenes);
}

watch("value", show);
show();
