// What the page does on its own: ideas, counting, the soft backdrop of the stage, the presenter view.
window.s2v = {
  add(text, idea) {
    const before = text.trim().replace(/[.,]+$/, "");
    return before ? `${before}, ${idea}` : idea[0].toUpperCase() + idea.slice(1);
  },
  // Words as a dictionary sees them: Chinese and Japanese have no spaces to count.
  words: (text) => [...new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)].filter((each) => each.isWordLike).length,
  count(text, mostCharacters, mostWords) {
    const characters = [...text.trim()].length, words = s2v.words(text);
    const box = document.querySelector("#prompt");
    box.dataset.long = characters > mostCharacters ? "stop" : words > mostWords ? "advice" : "";
    box.dataset.count =
      characters > 0.9 * mostCharacters ? `${characters} of ${mostCharacters} characters`
      : words > mostWords ? `${words} words, under ${mostWords} is advised`
      : `${words} ${words === 1 ? "word" : "words"}`;
  },
  backdrop(photo) {
    const url = photo?.url ?? document.querySelector(".sample img")?.src;
    document.documentElement.style.setProperty("--portrait", url ? `url(${JSON.stringify(url)})` : "none");
  },
  // What was paid for is gone at the second click: the first one asks.
  asks(button) {
    const text = [...button.childNodes].findLast((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const asked = text.data === "Delete for good?";
    const back = () => (text.data = "Delete");
    text.data = asked ? "Delete" : "Delete for good?";
    if (!asked) button.addEventListener("blur", back, { once: true });
    return !asked;
  },
  present(on) {
    document.body.classList.toggle("presenting", on);
    const url = new URL(location);
    on ? url.searchParams.set("present", 1) : url.searchParams.delete("present");
    history.replaceState(null, "", url);
  },
};
if (new URLSearchParams(location.search).get("present")) s2v.present(true);
addEventListener("keydown", (event) => event.key === "Escape" && s2v.present(false));
addEventListener("click", (event) => {
  const button = event.target.closest?.("#delete");
  if (button && s2v.asks(button)) event.stopImmediatePropagation();
}, true);
