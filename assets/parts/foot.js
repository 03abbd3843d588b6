function show() {
  for (const name of ["cost", "key"]) element.querySelector(`.${name}`).textContent = props.value[name];
}

watch("value", show);
show();
