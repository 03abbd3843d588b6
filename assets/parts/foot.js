const { price, key, provider } = props.value;
const credit = price.includes("PTC") ? ` A PTC is ${provider}’s credit.` : "";
element.querySelector(".cost").textContent = `MiniMax S2V-01 through ${provider}: ${price}.${credit}`;
element.querySelector(".key").textContent =
  key ? "" : `No key is set here, so clips are simulated: free, and marked as such. With “Use your key” ${provider} makes real ones, at your cost.`;
