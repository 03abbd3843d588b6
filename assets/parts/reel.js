// Clips as one, when they have been joined; or two of them side by side.
const find = (selector) => element.querySelector(selector), link = find("a");

function player({ url, generated, scene = "" }) {
  const node = document.createElement("figure"), video = document.createElement("video");
  Object.assign(video, { src: url, controls: true, muted: true, loop: true, playsInline: true, preload: "auto" });
  const label = Object.assign(document.createElement("span"), { className: "generated", textContent: say("AI GENERATED") });
  label.hidden = !generated;
  node.append(video, label, Object.assign(document.createElement("figcaption"), { textContent: scene }));
  return node;
}

function show() {
  const { clips = [], said = "" } = props.value ?? {};
  find("p").textContent = said;
  find(".players").replaceChildren(...clips.map(player));
  link.hidden = clips.length !== 1;
  if (clips.length === 1) link.href = clips[0].url;
  together([...element.querySelectorAll("video")]);
  if (said) element.scrollIntoView({ block: "nearest" });
}

// What one of two does, the other does, too.
function together(videos) {
  for (const video of videos) {
    for (const other of videos.filter((each) => each !== video)) {
      video.onplay = () => other.play();
      video.onpause = () => other.pause();
      video.onseeking = () => Math.abs(other.currentTime - video.currentTime) > 0.1 && (other.currentTime = video.currentTime);
    }
  }
}

watch("value", show);
show();
