// Clips as one, when they have been joined.
const find = (selector) => element.querySelector(selector), video = find("video"), link = find("a");

function show() {
  const { url = "", said = "", generated = false } = props.value ?? {};
  find("p").textContent = said;
  find(".player").hidden = link.hidden = !url;
  find(".generated").hidden = !generated;
  if (url) [video.src, link.href] = [url, url];
  else video.removeAttribute("src");
  if (said) element.scrollIntoView({ block: "nearest" });
}

watch("value", show);
show();
