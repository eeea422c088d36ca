// The player: playlist items, whole screen, one after the other: #k=SECRET&kind=image|video&n=TURN&fade=MS&src=URL. The next
// one comes as another fragment, while the one before is still to be seen. What became of each is told by
// documentElement.dataset.paint: "wait", then "shown" or "failed" (dataset.why), with the event "pikiosk-paint". What was
// there before one that failed stays: the supervisor knows what comes next.
"use strict";

const root = document.documentElement;
const stage = document.querySelector("main");
let turn = 0; // items so far: what was begun for an older one is dropped

function tell(paint, why) {
  root.dataset.paint = paint;
  root.dataset.why = why ?? "";
  document.dispatchEvent(new Event("pikiosk-paint"));
}

const twoFrames = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

async function picture(src) {
  const image = new Image();
  image.alt = "";
  image.src = src;
  try {
    await image.decode();
  } catch {
    throw new Error("it did not load, or is not a picture");
  }
  return image;
}

const MEDIA_ERRORS = { 2: "the network failed while it loaded", 3: "it is damaged", 4: "it did not load, or this format is not known here" };

// Resolves as it plays; one that breaks off later tells so itself.
function film(src, mine) {
  const video = document.createElement("video");
  video.loop = true;
  video.playsInline = true;
  video.preload = "auto";
  video.src = src;
  const why = () => MEDIA_ERRORS[video.error?.code] ?? "it did not load";
  return new Promise((play, fail) => {
    video.addEventListener("playing", () => play(video), { once: true });
    video.addEventListener("error", () => {
      fail(new Error(why()));
      if (video.isConnected && mine === turn) tell("failed", why());
    }, { once: true });
    // Sound may be forbidden until someone touches the screen; the picture is worth more than the sound.
    video.play().catch(() => { video.muted = true; video.play().catch(() => {}); });
  });
}

function drop(item) {
  item.remove();
  if (item.localName === "video") { item.pause(); item.removeAttribute("src"); item.load(); }
}

function clear(except) {
  for (const old of [...stage.children]) if (old !== except) drop(old);
}

// The copy on the card first; the site itself where there is none, or it cannot be read.
async function load(kind, sources, mine) {
  let failed = null;
  for (const src of sources) {
    try {
      return await (kind === "video" ? film(src, mine) : picture(src));
    } catch (error) {
      failed = error;
    }
  }
  throw failed;
}

async function show(mine) {
  const asked = new URLSearchParams(location.hash.slice(1));
  const [src, kind] = [asked.get("src") ?? "", asked.get("kind") === "video" ? "video" : "image"];
  root.dataset.paint = "wait";
  // Only the supervisor knows the secret: nobody else may use this page to show things under its name.
  const known = await fetch(`/kept?src=${encodeURIComponent(src)}`, { headers: { "x-pikiosk-page": asked.get("k") ?? "" }, cache: "no-store" });
  if (!known.ok || !/^https?:/i.test(src)) throw new Error("this page was not opened by the supervisor");
  const { path } = await known.json();
  const item = await load(kind, path === null ? [src] : [path, src], mine);
  if (mine !== turn) return drop(item);
  stage.append(item);
  const fade = Number(asked.get("fade"));
  if (fade > 0) await item.animate({ opacity: [0, 1] }, { duration: fade }).finished.catch(() => {});
  if (mine !== turn) return;
  clear(item);
  await twoFrames();
  if (mine === turn) tell("shown");
}

function begin() {
  const mine = ++turn;
  show(mine).catch((error) => { if (mine === turn) tell("failed", error.message); });
}

addEventListener("hashchange", begin);
begin();
