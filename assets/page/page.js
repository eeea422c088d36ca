// The splash, offline and blank pages: ask the supervisor what to say, say it, ask again. All words come from
// the supervisor; this script only puts them in place, as text.
"use strict";

const root = document.documentElement;
const given = new URLSearchParams(location.hash.slice(1));
const secret = given.get("k") ?? "";
const outageOf = (view) => (given.get("screen") === "2" ? view.second : view.outage);
const ANSWER_WITHIN_MS = 40_000; // the supervisor holds a question for at most 25 s
const ASK_AGAIN_MS = 1_000;

let view = null; // the last answer
let viewAt = 0; // performance.now() at that answer
let past = ""; // the picture that is shown in the site's place

function put(name, text) {
  for (const element of document.querySelectorAll(`[data-put="${name}"]`)) {
    if (element.textContent !== text) element.textContent = text;
    element.hidden = text === "";
    if (element.localName === "h1") element.style.setProperty("--n", Math.max(text.length, 5));
    const row = element.closest("dl > div");
    if (row !== null && element.closest("dd") !== null) row.hidden = text === "";
  }
}

function putList(name, texts) {
  for (const list of document.querySelectorAll(`[data-list="${name}"]`)) {
    list.replaceChildren(...texts.map((text) => {
      const item = document.createElement("li");
      const span = document.createElement("span");
      span.textContent = text;
      item.append(span);
      return item;
    }));
  }
}

const plural = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;

function duration(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return "less than a minute";
  if (minutes < 120) return plural(minutes, "minute");
  if (minutes < 48 * 60) return plural(Math.floor(minutes / 60), "hour");
  return plural(Math.floor(minutes / 1440), "day");
}

const clock = (date) => date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

function countdown(ms) {
  const s = Math.max(0, Math.ceil(ms / 1000));
  return s < 100 ? `${s} s` : `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

function when(date) {
  const today = date.toDateString() === new Date().toDateString();
  const day = date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" });
  return today ? `${clock(date)} today` : `${clock(date)} on ${day}`;
}

// What changes with time alone: the clock, the countdown, how long it has lasted.
function tick() {
  if (view === null) return;
  put("clock", view.clock ? clock(new Date()) : "");
  const outage = outageOf(view);
  if (outage === null) return;
  const passed = performance.now() - viewAt;
  if (outage.retry_ms === null || outage.retry_ms <= passed) {
    put("retry_label", outage.retry_ms === null ? "It comes back" : "Trying");
    put("retry", outage.retry_ms === null ? "by itself" : "now…");
  } else {
    put("retry_label", "Next try in");
    put("retry", countdown(outage.retry_ms - passed));
  }
  const lasted = outage.down_ms + passed;
  const since = view.clock && lasted < 86_400_000 ? ` since ${clock(new Date(Date.now() - lasted))}` : "";
  const tries = outage.tries === 0 ? "Not there" : `${plural(outage.tries, "try").replace("trys", "tries")} without success`;
  put("tries", `${tries}${since}, for ${duration(lasted)}`);
  const taken = outage.picture?.taken_ms ?? null;
  put("past_when", taken === null || !view.clock ? "This is an older picture" : `This is a picture from ${when(new Date(taken))}`);
  const tried = outage.retry_ms === null || outage.retry_ms <= passed ? "trying now…" : `next try in ${countdown(outage.retry_ms - passed)}`;
  const next = outage.in_turn ? "tried again in its turn" : tried;
  put("past_why", `${outage.site} · ${outage.title} · away${since}, for ${duration(lasted)} · ${next}`);
}

// The last good picture of the site, once it is there to be painted.
async function showPast(path) {
  const figure = document.querySelector(".past");
  if (figure === null || path === past) return;
  past = path;
  const picture = figure.querySelector("img");
  if (path !== "") {
    picture.src = path;
    await picture.decode().catch(() => { past = ""; });
  }
  figure.hidden = past === "";
}

async function show(next) {
  view = next;
  viewAt = performance.now();
  put("display", next.display);
  put("server", next.server);
  put("version", next.version);
  put("addresses", next.addresses.join(",\n"));
  put("addresses_label", next.addresses.length > 1 ? "Addresses of this display" : "Address of this display");
  put("push", next.push);
  const status = next.status;
  for (const element of document.querySelectorAll(".status[data-tone]")) element.dataset.tone = status.tone;
  put("title", status.title);
  put("text", status.text);
  put("command", status.command);
  put("then", status.then);
  if (outageOf(next) !== null) {
    const { site, title, text, advice, code } = outageOf(next);
    put("site", site);
    put("fault", title);
    put("why", text);
    put("code", code);
    putList("advice", advice);
  }
  tick();
  root.dataset.rev = next.rev;
  await showPast(outageOf(next)?.picture?.path ?? "");
  painted();
}

function painted() {
  if (root.dataset.paint !== "wait") return;
  root.dataset.paint = "laid";
  requestAnimationFrame(() => requestAnimationFrame(() => {
    root.dataset.paint = "shown";
    document.dispatchEvent(new Event("pikiosk-paint"));
  }));
}

async function ask() {
  const since = view === null ? "" : `?since=${view.rev}`;
  const answer = await fetch(`/state${since}`, {
    headers: { "x-pikiosk-page": secret },
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

async function follow() {
  for (;;) {
    try {
      await show(await ask());
    } catch {
      // The supervisor is restarting, or this page is from before its last start: keep what is shown.
      painted();
      await new Promise((again) => setTimeout(again, ASK_AGAIN_MS));
    }
  }
}

// On the second, so that the digits change evenly; one timer, small repaints.
setInterval(tick, 1000);
follow();
