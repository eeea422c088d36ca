// A keyboard on the glass for the fields of any page ([browser] keyboard = true). Runs in every document and frame before
// its own scripts, in the supervisor's sandbox.
//
//   somebody taps a field --look--> open: keys in a closed shadow root, in the top layer, styled through CSSOM only (a
//                                   strict Content Security Policy allows it); the page makes room for the field
//   a key is touched -----press---> keydown, keypress; the browser's own editing command; keyup
//
// The editing commands are those of real typing: selection, undo, maxlength and `input` are as ever, and a framework
// that watches the value finds it changed. The field keeps the focus: no touch of a key ever reaches the page.
() => {
  const XHTML = "http://www.w3.org/1999/xhtml", SVG = "http://www.w3.org/2000/svg";
  const INK = "#0d1321", PANEL = "#172033", KEY = "#2a3650", DOWN = "#4a5a7d", PAPER = "#f4f1ea", ACCENT = "#ff5c8a";
  const SANS = '"Inter", "Noto Sans", "Liberation Sans", "DejaVu Sans", sans-serif';
  const TYPES = new Set(["text", "search", "url", "tel", "email", "password", "number"]);
  const LETTERS = {
    en: ["qwertyuiop", "asdfghjkl", "zxcvbnm"],
    de: ["qwertzuiopü", "asdfghjklöä", "yxcvbnmß"],
    fr: ["azertyuiop", "qsdfghjklm", "wxcvbnéèà"],
    es: ["qwertyuiop", "asdfghjklñ", "zxcvbnmáéí"],
    sv: ["qwertyuiopå", "asdfghjklöä", "zxcvbnm"],
    da: ["qwertyuiopå", "asdfghjklæø", "zxcvbnm"],
  };
  const SIGNS = [["1234567890", "@#€%&-+()", "*\"':;!?/_"], ["[]{}<>^|\\~", "$£¥=°§`´", "„“”«»…–·"]];
  const ICONS = {
    shift: "M12 4 4 12h4v7h8v-7h4Z", lock: "M12 3 4 11h4v5h8v-5h4Z M8 20h8", back: "M9 5h12v14H9l-6-7Z M12 9l6 6 M18 9l-6 6",
    enter: "M19 5v8H6 M10 9l-4 4 4 4", hide: "M4 9l8 7 8-7",
  };
  const CODES = { back: ["Backspace", 8], enter: ["Enter", 13] };
  const REPEAT_AFTER_MS = 450, REPEAT_EVERY_MS = 70, WATCH_EVERY_MS = 500;

  // A document that had the keyboard of an earlier session gets this one.
  globalThis.pikioskKeyboard?.end();
  const ends = new AbortController();

  let field = null; // what is typed into, while the keyboard is there
  let dismissed = null; // the field for which somebody put it away
  let stage = window; // the window that it stands in
  let [layer, shift, touched] = ["letters", 0, false];
  let [held, timer, watch] = [null, 0, 0];
  const keys = new Map();
  const changed = []; // what was changed of the page, to make room

  const style = (element, styles) => {
    for (const [name, value] of Object.entries(styles)) element.style.setProperty(name, value, "important");
    return element;
  };
  const make = (parent, styles) => {
    const element = style(document.createElementNS(XHTML, "div"), styles);
    parent.append(element);
    return element;
  };

  const host = document.createElementNS(XHTML, "div");
  host.setAttribute("aria-hidden", "true");
  host.setAttribute("popover", "manual");
  const root = host.attachShadow({ mode: "closed" });

  const isLine = (node) => node.localName === "input";
  const isField = (node) => {
    if (node === null || node.inputMode === "none") return false;
    if (isLine(node)) return TYPES.has(node.type) && !node.readOnly && !node.disabled;
    if (node.localName === "textarea") return !node.readOnly && !node.disabled;
    return node.isContentEditable === true;
  };
  const active = () => {
    // A frame keeps its own active element when the focus has gone elsewhere; X may give the whole window none.
    if (window !== window.top && !document.hasFocus()) return null;
    let node = document.activeElement;
    while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
    return node;
  };
  const above = (node) => node.parentElement ?? node.getRootNode().host ?? null;
  const ancestor = (node, wanted) => {
    while (node !== null && !wanted(node)) node = above(node);
    return node;
  };

  // Of one word that is in a key: what it is called and what it types.
  const letters = () => {
    const language = (field.closest("[lang]")?.lang || navigator.language).slice(0, 2).toLowerCase();
    return LETTERS[{ nb: "da", no: "da", fi: "sv" }[language] ?? language] ?? LETTERS.en;
  };
  const upper = (letter) => (letter === "ß" ? "ẞ" : letter.toUpperCase());
  const rows = () => {
    const type = field.inputMode || field.type;
    if (layer === "numbers") {
      const last = type === "tel" ? "+" : ",";
      return [["1", "2", "3", "back"], ["4", "5", "6", "-"], ["7", "8", "9", last], ["hide", "0", ".", "enter"]];
    }
    const signs = layer === "signs";
    const [first, second, third] = signs ? SIGNS[shift === 0 ? 0 : 1] : letters();
    const aside = { email: "@", url: "/" }[type] ?? ",";
    return [[...first], [...second], ["shift", ...third, "back"], ["turn", aside, " ", ".", "enter", "hide"]];
  };
  const WIDTHS = { " ": 5, shift: 1.4, back: 1.4, turn: 1.4, enter: 1.6, hide: 1.4 };

  const face = (box, name) => {
    const icon = ICONS[name === "shift" && shift === 2 ? "lock" : name];
    if (icon === undefined || (name === "shift" && layer === "signs")) {
      const words = { turn: layer === "signs" ? "ABC" : "123", shift: shift === 0 ? "#+=" : "123" };
      box.textContent = words[name] ?? (layer === "letters" && shift > 0 ? upper(name) : name);
      return;
    }
    const svg = document.createElementNS(SVG, "svg");
    const path = document.createElementNS(SVG, "path");
    const filled = name === "shift" && shift > 0 ? "currentColor" : "none";
    const drawn = { d: icon, fill: filled, stroke: "currentColor", "stroke-width": "2", "stroke-linejoin": "round", "stroke-linecap": "round" };
    for (const [key, value] of Object.entries(drawn)) path.setAttribute(key, value);
    svg.setAttribute("viewBox", "0 0 24 24");
    style(svg, { height: "42%", width: "42%", "pointer-events": "none" });
    svg.append(path);
    box.append(svg);
  };
  const back = (name) => (name === "enter" ? ACCENT : name in WIDTHS && name !== " " ? PANEL : KEY);

  const draw = () => {
    const [wide, high] = [stage.innerWidth, stage.innerHeight];
    // Wide enough for a finger, and never more than half of the glass.
    const size = Math.min(Math.max(Math.min(wide * 0.105, high * 0.092), 40), high * 0.11, 120);
    const zoom = Number.parseFloat(stage.getComputedStyle(stage.document.documentElement).zoom) || 1;
    style(host, {
      all: "initial", display: "block", position: "fixed", inset: "auto 0 0 0", width: `${wide}px`, "max-width": "none",
      margin: "0", border: "0", padding: `${size * 0.09}px 0`, background: INK, overflow: "hidden", "box-sizing": "border-box",
      "border-top": `2px solid ${KEY}`, "z-index": "2147483647", "user-select": "none", "touch-action": "none", direction: "ltr",
      cursor: "default", contain: "layout style", zoom: String(1 / zoom),
    });
    root.replaceChildren();
    keys.clear();
    const most = layer === "numbers" ? size * 7 : size * 16;
    const all = make(root, { width: "100%", "max-width": `${most}px`, margin: "0 auto", "font-family": SANS, color: PAPER });
    const longest = Math.max(...rows().slice(0, 2).map((row) => row.length));
    for (const names of rows()) {
      const row = make(all, { display: "flex", "justify-content": "center", height: `${size}px` });
      for (const name of names) {
        // A letter is as wide in every row; what else there is shares the rest.
        const width = layer === "numbers" ? 25 : (100 / longest);
        const grow = WIDTHS[name] === undefined ? "0" : String(WIDTHS[name]);
        const cell = make(row, { flex: WIDTHS[name] === undefined ? `0 1 ${width}%` : `${grow} 1 ${layer === "numbers" ? 25 : width}%`, padding: `${size * 0.05}px`, "min-width": "0", "box-sizing": "border-box" });
        const box = make(cell, {
          height: "100%", display: "flex", "align-items": "center", "justify-content": "center", background: back(name),
          "border-radius": `${size * 0.13}px`, "font-size": `${size * (name.length > 1 ? 0.3 : 0.4)}px`, "line-height": "1",
          "pointer-events": "none", color: name === "enter" ? INK : PAPER,
        });
        face(box, name);
        keys.set(cell, { name, box });
      }
    }
  };

  // --- where it stands, and where the field is then

  const change = (element, styles) => {
    for (const name of Object.keys(styles)) {
      changed.push([element, name, element.style.getPropertyValue(name), element.style.getPropertyPriority(name)]);
    }
    style(element, styles);
  };
  const bottom = () => {
    let at = field.getBoundingClientRect().bottom;
    for (let view = window; view !== stage; view = view.parent) at += view.frameElement.getBoundingClientRect().top;
    return at;
  };
  const covered = () => Math.ceil(bottom() + 12 - host.getBoundingClientRect().top);
  const make_room = () => {
    const page = stage.document.documentElement;
    const high = Math.ceil(host.getBoundingClientRect().height);
    change(page, { "padding-bottom": `${high}px`, "scroll-padding-bottom": `${high + 16}px`, "scroll-behavior": "auto" });
    if (covered() > 0) field.scrollIntoView({ block: "nearest" });
    if (covered() <= 0) return;
    // It does not scroll along: a dialog, or a bar at the lower edge.
    const fixed = (node) => getComputedStyle(node).position === "fixed" && node !== host;
    const lifted = ancestor(field, fixed) ?? stage.document.body;
    if (lifted !== null) change(lifted, { translate: `0 ${-covered()}px` });
  };
  const give_room_back = () => {
    for (const [element, name, value, priority] of changed.splice(0).reverse()) {
      element.style.setProperty(name, value, priority);
    }
  };
  const place = () => {
    // The rest of a page with a modal dialog is out of reach.
    const within = stage === window ? field : window.frameElement;
    const reach = ancestor(within, (node) => node.matches(":modal"));
    (reach ?? stage.document.documentElement).append(host);
    // Above all else; where there are no popovers, the z-index has to do.
    try { host.showPopover?.(); } catch { /* it is one already */ }
  };

  const open = (to) => {
    field = to;
    // The outermost window that this document reaches: a small frame has no room.
    stage = window;
    try { while (stage.parent !== stage && stage.parent.document) stage = stage.parent; } catch { /* another site's */ }
    const numeric = ["number", "tel"].includes(field.type) || ["numeric", "decimal", "tel"].includes(field.inputMode);
    [layer, shift] = [numeric ? "numbers" : "letters", 0];
    give_room_back();
    draw();
    place();
    make_room();
    clearInterval(watch);
    watch = setInterval(() => (host.isConnected && active() === field ? undefined : look()), WATCH_EVERY_MS);
    if (stage !== window) guard(stage);
  };
  const close = () => {
    release();
    clearInterval(watch);
    give_room_back();
    host.remove();
    field = null;
  };
  // What has the focus decides. It opens only after a touch: a page that focuses a field by itself is only looked at.
  const look = () => {
    const now = active();
    if (now !== dismissed) dismissed = null;
    if (!isField(now) || dismissed !== null) return field === null ? undefined : close();
    if (now === field && host.isConnected) return;
    if (field !== null || navigator.userActivation.isActive) open(now);
  };
  const soon = () => setTimeout(look, 0);

  // --- keys

  const tell = (kind, key, code) => field.dispatchEvent(new KeyboardEvent(kind, {
    key, keyCode: code, which: code, charCode: kind === "keypress" ? code : 0, bubbles: true, cancelable: true, composed: true, view: window,
  }));
  const submit = () => {
    field.dispatchEvent(new Event("change", { bubbles: true }));
    const form = field.form;
    if (!form) return;
    const own = [...form.getRootNode().querySelectorAll("button, input")].filter((node) => node.form === form);
    const button = own.find((node) => node.type === "submit" || node.type === "image");
    if (button) button.click();
    else if (own.filter((node) => TYPES.has(node.type)).length === 1) form.requestSubmit();
  };
  const type = (name) => {
    const edit = (command, text) => field.ownerDocument.execCommand(command, false, text);
    if (name === "back") return edit("delete");
    if (name !== "enter") return edit("insertText", name);
    if (isLine(field)) return submit();
    return field.localName === "textarea" ? edit("insertText", "\n") : edit("insertParagraph");
  };
  const press = (name) => {
    if (!field.isConnected) return close();
    if (name === "hide") {
      dismissed = field;
      return close();
    }
    if (name === "shift") shift = layer === "signs" ? 1 - shift : (shift + 1) % 3;
    if (name === "turn") [layer, shift] = [layer === "signs" ? "letters" : "signs", 0];
    if (name === "shift" || name === "turn") return draw();
    const text = layer === "letters" && shift > 0 && name.length === 1 ? upper(name) : name;
    const [key, code] = CODES[name] ?? [text, text.toUpperCase().charCodeAt(0)];
    const typed = field;
    if (tell("keydown", key, code) && (name === "back" || tell("keypress", key, name === "enter" ? 13 : text.charCodeAt(0)))) type(text);
    if (field === null || field !== typed) return;
    tell("keyup", key, code);
    if (shift === 1 && layer === "letters" && name.length === 1) {
      shift = 0;
      draw();
    }
  };
  const release = () => {
    clearTimeout(timer);
    if (held !== null) style(held.box, { background: back(held.name) });
    held = null;
  };
  const again = () => {
    press("back");
    if (field !== null) timer = setTimeout(again, REPEAT_EVERY_MS);
  };
  const touch = (event) => {
    const cell = root.elementFromPoint(event.clientX, event.clientY);
    const key = keys.get(cell);
    release();
    if (key === undefined || event.button > 0) return;
    held = key;
    style(key.box, { background: DOWN });
    if (key.name === "back") timer = setTimeout(again, REPEAT_AFTER_MS);
    press(key.name);
  };

  // Before the page hears of it: it was here first.
  const guard = (view) => {
    const options = { capture: true, passive: false, signal: ends.signal };
    const keep = (event) => {
      if (event.target !== host || !event.isTrusted) return;
      event.stopImmediatePropagation();
      event.preventDefault();
      if (event.type === "pointerdown") touch(event);
    };
    for (const kind of [
      "pointerdown", "pointerup", "pointercancel", "mousedown", "mouseup", "click", "dblclick", "auxclick", "contextmenu",
      "touchstart", "touchmove", "touchend", "wheel",
    ]) view.addEventListener(kind, keep, options);
    for (const kind of ["pointerup", "pointercancel"]) view.addEventListener(kind, release, options);
    view.addEventListener("resize", () => field !== null && open(field), options);
  };
  guard(window);
  const hears = { capture: true, signal: ends.signal };
  // A finger that is still down may yet be lifted from what it touched: nothing moves below it.
  addEventListener("pointerdown", (event) => { if (event.target !== host) touched = true; }, hears);
  for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => { touched = false; soon(); }, hears);
  for (const kind of ["focusin", "focusout"]) addEventListener(kind, () => touched || soon(), hears);
  addEventListener("click", (event) => {
    if (event.isTrusted && dismissed !== null && event.composedPath().includes(dismissed)) dismissed = null;
    soon();
  }, hears);
  addEventListener("pagehide", () => field !== null && close(), hears);

  globalThis.pikioskKeyboard = { end: () => { if (field !== null) close(); ends.abort(); } };
}
