// One playlist item, whole screen: #k=SECRET&kind=image|video&src=URL. What became of it is told by
// documentElement.dataset.paint: "wait", then "shown" or "failed" (dataset.why), with the event "pikiosk-paint".
"use strict";

const root = document.documentElement;
const asked = new URLSearchParams(location.hash.slice(1));

function tell(paint, why) {
  if (root.dataset.paint !== "wait") return;
  root.dataset.paint = paint;
  if (why !== undefined) root.dataset.why = why;
  document.dispatchEvent(new Event("pikiosk-paint"));
}

function fail(what, why) {
  const note = document.createElement("p");
  note.textContent = `${what} could not be shown: ${why}.`;
  document.body.replaceChildren(note);
  tell("failed", why);
}

const twoFrames = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

async function image(src) {
  const img = new Image();
  img.alt = "";
  img.src = src;
  try {
    await img.decode();
  } catch {
    return fail("This picture", "it did not load, or is not a picture");
  }
  document.body.replaceChildren(img);
  await twoFrames();
  tell("shown");
}

const MEDIA_ERRORS = { 2: "the network failed while it loaded", 3: "it is damaged", 4: "it did not load, or this format is not known here" };

function video(src) {
  const film = document.createElement("video");
  film.loop = true;
  film.playsInline = true;
  film.preload = "auto";
  film.addEventListener("error", () => fail("This film", MEDIA_ERRORS[film.error?.code] ?? "it did not load"), { once: true });
  film.addEventListener("playing", async () => { await twoFrames(); tell("shown"); }, { once: true });
  film.src = src;
  document.body.replaceChildren(film);
  // Sound may be forbidden until someone touches the screen; the picture is worth more than the sound.
  film.play().catch(() => { film.muted = true; film.play().catch(() => {}); });
}

async function start() {
  // Only the supervisor knows the secret: nobody else may use this page to show things under its name.
  const known = await fetch("/state", { headers: { "x-pikiosk-page": asked.get("k") ?? "" }, cache: "no-store" });
  const src = asked.get("src") ?? "";
  if (!known.ok || !/^https?:/i.test(src)) return tell("failed", "this page was not opened by the supervisor");
  if (asked.get("kind") === "video") return video(src);
  return image(src);
}

start().catch(() => tell("failed", "the supervisor did not answer"));
