// The reference beside five frames of the clip; large in the presenter view.
const photo = element.querySelector("img"), row = element.querySelector(".stills");

function show() {
  const { reference, stills, prompt, made, simulated } = props.value ?? {};
  element.dataset.simulated = Boolean(simulated);
  element.dataset.shown = Boolean(stills || reference);
  element.querySelector(".reference").hidden = !reference;
  element.querySelector(".arrow").hidden = !reference || !stills;
  if (reference) photo.src = reference;
  element.querySelector(".caption").textContent = prompt ?? "";
  element.querySelector(".made").textContent = (made ?? []).join(" · ");
  row.replaceChildren();
  if (!stills) return;
  const strip = new Image();
  strip.onload = () => {
    const ratio = strip.naturalWidth / 5 / strip.naturalHeight;
    row.replaceChildren(
      ...[0, 1, 2, 3, 4].map((number) => {
        const frame = document.createElement("i");
        frame.style.aspectRatio = ratio;
        frame.style.background = `url(${JSON.stringify(stills)}) ${25 * number}% 0 / 500% 100%`;
        return frame;
      }),
    );
  };
  strip.src = stills;
}

watch("value", show);
show();
