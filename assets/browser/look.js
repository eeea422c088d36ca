// Is there anything in this document that people could see? "full", or "empty", or "filling" where it may yet come.
// It stops at the first thing it finds, and after so many nodes it takes the page for full. After the word stands how
// often the beat (beat.js) has changed its pixel, where it runs.
() => {
  const NODES_MAX = 3000;
  const THINGS = new Set([
    "img", "picture", "svg", "canvas", "video", "iframe", "frame", "object", "embed", "input", "button", "select",
    "textarea", "progress", "meter", "hr", "math",
  ]);
  const root = document.documentElement;
  const told = (word) => `${word} ${globalThis.pikioskBeat?.beats() ?? ""}`;
  if (root !== null && root.localName !== "html") return told("full");

  const area = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0;
  };
  const shows = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const painted = (element) => {
    const style = getComputedStyle(element);
    const [r, g, b, a = 1] = (style.backgroundColor.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    return style.backgroundImage !== "none" || (a > 0 && Math.min(r, g, b) < 250);
  };
  const seen = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      return /\S/.test(node.data) && node.parentElement !== null && shows(node.parentElement);
    }
    // The root's and the body's background are the whole glass's, however small they are themselves.
    const isCanvas = node === root || node === document.body;
    if (!shows(node) || !(isCanvas || area(node))) return false;
    return THINGS.has(node.localName) || node.localName.includes("-") || painted(node);
  };

  if (root !== null) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    let left = NODES_MAX;
    for (let node = walker.currentNode; node !== null; node = walker.nextNode()) {
      if (left-- === 0 || seen(node)) return told("full");
    }
  }
  return told(document.readyState !== "complete" || document.scripts.length > 0 ? "filling" : "empty");
}
