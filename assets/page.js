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
  present(on) {
    document.body.classList.toggle("presenting", on);
    const url = new URL(location);
    on ? url.searchParams.set("present", 1) : url.searchParams.delete("present");
    history.replaceState(null, "", url);
  },
};
if (new URLSearchParams(location.search).get("present")) s2v.present(true);
addEventListener("keydown", (event) => event.key === "Escape" && s2v.present(false));
