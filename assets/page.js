// What the page does on its own: ideas, counting words, and the soft backdrop of the stage.
window.s2v = {
  add(text, idea) {
    const before = text.trim().replace(/[.,]+$/, "");
    return before ? `${before}, ${idea}` : idea[0].toUpperCase() + idea.slice(1);
  },
  count(text, most) {
    const characters = [...text.trim()].length;
    const words = text.trim().split(/\s+/).filter(Boolean).length;
    const box = document.querySelector("#prompt");
    box.dataset.long = characters > most;
    box.dataset.count =
      characters > 0.9 * most ? `${characters} of ${most} characters`
      : words ? `${words} ${words === 1 ? "word" : "words"}`
      : `up to ${most} characters`;
  },
  backdrop(photo) {
    const url = photo?.url ?? document.querySelector(".sample img")?.src;
    document.documentElement.style.setProperty("--portrait", url ? `url(${JSON.stringify(url)})` : "none");
  },
};
