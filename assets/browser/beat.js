// Keeps four pixels in the upper left corner that change every eight seconds by a level or two, so that whoever looks at
// the glass sees whether it still follows the page (src/display/browser/screen/watch.rs reads them). They have the
// colour of what is under them, but for the two lowest bits of red, green and blue: nobody sees them. CSSOM only, in a
// closed shadow root: a strict Content Security Policy allows it, and the page finds nothing to trip over.
() => {
  if (window !== window.top) return;
  const XHTML = "http://www.w3.org/1999/xhtml";
  const EVERY_MS = 8000; // each wakes Firefox's own drawing: every four seconds it was 0.5 % of a core of a busy PC
  const SIGN = [[1, 2], [2, 1], [1, 1], [2, 2]];
  const LOOK_EVERY = 8; // beats between two looks at the colour under it: a look makes the page lay itself out

  // A document that had a beat of an earlier session gets this one.
  globalThis.pikioskBeat?.end();

  const style = (element, styles) => {
    for (const [name, value] of Object.entries(styles)) element.style.setProperty(name, value, "important");
    return element;
  };
  const box = {
    all: "initial", position: "absolute", top: "0", height: "100%", margin: "0", padding: "0", "pointer-events": "none",
  };
  const pixels = SIGN.map(() => style(document.createElementNS(XHTML, "div"), box));
  const host = style(document.createElementNS(XHTML, "div"), {
    all: "initial", position: "fixed", top: "0", left: "0", margin: "0", padding: "0", border: "0", overflow: "hidden",
    "z-index": "2147483647", "pointer-events": "none", "user-select": "none", contain: "strict", direction: "ltr",
  });
  host.setAttribute("aria-hidden", "true");
  host.attachShadow({ mode: "closed" }).append(...pixels);

  let [beats, under] = [0, [255, 255, 255]];
  const look = () => {
    // The body's colour is that of the whole glass, even where the body itself is not.
    for (const element of [...document.elementsFromPoint(0, 0), document.body].filter(Boolean)) {
      const rgb = getComputedStyle(element).backgroundColor.match(/^rgb\((\d+), (\d+), (\d+)\)$/);
      if (rgb) return rgb.slice(1).map(Number);
    }
    return [255, 255, 255];
  };

  // Pixels of the glass, whatever the page's zoom and the screen's density are.
  let measured = "";
  const measure = () => {
    const zoom = Number.parseFloat(getComputedStyle(document.documentElement).zoom) || 1;
    const pixel = 1 / (globalThis.devicePixelRatio || 1);
    if (measured === `${zoom} ${pixel}`) return;
    measured = `${zoom} ${pixel}`;
    style(host, { zoom: String(1 / zoom), width: `${pixel * SIGN.length}px`, height: `${pixel}px` });
    pixels.forEach((element, at) => style(element, { left: `${pixel * at}px`, width: `${pixel}px` }));
  };

  const beat = () => {
    const root = document.documentElement;
    if (root === null) return;
    // A page that replaces all that it holds, or was not there yet.
    if (host.parentNode !== root) root.append(host);
    measure();
    if (beats % LOOK_EVERY === 0) under = look();
    beats += 1;
    SIGN.forEach(([red, green], at) => {
      const blue = (at + beats) % 2 + 1;
      const [r, g, b] = under.map((level, which) => (level & ~3) | [red, green, blue][which]);
      style(pixels[at], { background: `rgb(${r}, ${g}, ${b})` });
    });
  };
  const timer = setInterval(beat, EVERY_MS);
  globalThis.pikioskBeat = {
    beats: () => beats,
    end: () => { clearInterval(timer); host.remove(); },
  };
  // Not before the page has built itself: a framework that takes over what the server sent would stumble over it.
  if (document.readyState === "complete") beat();
}
