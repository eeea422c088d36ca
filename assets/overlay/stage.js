// Stands before every overlay's own code, in the supervisor's sandbox: the page sees none of these names.
//
// An overlay is one element with a closed shadow root in the top layer. It is styled through CSSOM only (no style
// element: a strict Content Security Policy forbids it), holds text only as text, takes no clicks, no focus and no
// place in the page's layout, and goes by its own timer.
const XHTML = "http://www.w3.org/1999/xhtml";
const stages = (globalThis.pikioskStages ??= new Map());
const FRAMES_WITHIN_MS = 3000; // a glass that paints at all paints sooner
const REPLACED_MAX = 20; // how often an overlay that the page threw out comes back

const INK = "#0d1321", PANEL = "#172033", LINE = "#2a3650", PAPER = "#f4f1ea", SOFT = "#a9b4c8", ACCENT = "#ff5c8a";
const SANS = '"Inter", "Noto Sans", "Liberation Sans", "DejaVu Sans", sans-serif';

function style(element, styles) {
  for (const [name, value] of Object.entries(styles)) element.style.setProperty(name, value, "important");
  return element;
}

function make(parent, styles, text) {
  const element = style(document.createElementNS(XHTML, "div"), styles);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function take(name) {
  const stage = stages.get(name);
  if (stage === undefined) return;
  stages.delete(name);
  clearTimeout(stage.timer);
  stage.watch.disconnect();
  stage.host.remove();
}

// Two frames: the first is asked for before the glass shows the change, the second after.
function painted() {
  return new Promise((done, failed) => {
    const late = setTimeout(() => failed(new Error("the glass painted no frame")), FRAMES_WITHIN_MS);
    requestAnimationFrame(() => requestAnimationFrame(() => { clearTimeout(late); done({ shown: true }); }));
  });
}

// Puts up the overlay `name`, in place of an older one of that name, for so many seconds.
function put(name, seconds, fill) {
  const page = document.documentElement;
  if (page === null) throw new Error("the page has no document");
  const host = style(document.createElementNS(XHTML, "div"), { all: "initial" });
  style(host, {
    position: "fixed", inset: "0", width: "100vw", height: "100vh", "max-width": "none", "max-height": "none",
    margin: "0", border: "0", padding: "0", background: "transparent", overflow: "hidden", display: "flex",
    "z-index": "2147483647", "pointer-events": "none", "user-select": "none", direction: "ltr", "contain": "strict",
  });
  // The page may be enlarged by `zoom`, now or later; an overlay has its own sizes.
  const unzoom = () => style(host, { zoom: String(1 / (Number.parseFloat(getComputedStyle(page).zoom) || 1)) });
  host.setAttribute("aria-hidden", "true");
  host.setAttribute("popover", "manual");
  fill(style(make(host.attachShadow({ mode: "closed" }), { "font-family": SANS, "font-weight": "400", color: PAPER }), {
    position: "absolute", inset: "0", display: "flex", "flex-direction": "column", "text-align": "start",
  }));
  const raise = () => {
    page.append(host);
    // Above a dialog or a full screen video as well; without popovers the z-index has to do.
    try { host.showPopover?.(); } catch { /* not in this kind of document */ }
  };
  let replaced = 0;
  const watch = new MutationObserver(() => {
    unzoom();
    if (!host.isConnected && document.documentElement === page && replaced++ < REPLACED_MAX) raise();
  });
  take(name);
  unzoom();
  raise();
  if (host.getClientRects().length === 0) {
    host.remove();
    throw new Error("this document shows no elements of HTML");
  }
  watch.observe(page, { childList: true, attributes: true, attributeFilter: ["style", "class"] });
  stages.set(name, { host, watch, timer: setTimeout(take, seconds * 1000, name) });
}

// Makes `text` smaller until `box` holds it.
function fit(box, text, vmin, least) {
  for (let size = vmin; ; size *= 0.9) {
    style(text, { "font-size": `${size}vmin` });
    if (size <= least || (box.scrollHeight <= box.clientHeight + 1 && box.scrollWidth <= box.clientWidth + 1)) return;
  }
}
