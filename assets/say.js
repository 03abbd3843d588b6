Object.defineProperty(navigator, "language", { get: () => document.documentElement.lang });
window.say = (text, facts = {}) => (words[text] ?? text).replace(/{(\w+)}/g, (all, name) => facts[name] ?? all);
window.says = (count, one, several) => say(one in words || count === 1 ? one : several, { count });
