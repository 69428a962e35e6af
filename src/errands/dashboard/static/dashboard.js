// What a page does beyond HTML: keys, and to be left alone while somebody works on it.
"use strict";

const GO = { n: "", j: "jobs", g: "groups", e: "errors", q: "queues", s: "schedules", v: "services", w: "workers" };
const main = () => document.getElementById("main");
const rows = () => [...document.querySelectorAll("[data-row]")];
const live = document.getElementById("live");
let goes = false;

// liveness ------------------------------------------------------------------------

const FIELDS = "input:not([type=checkbox], [type=hidden]), select, textarea";
const STOPS = "a[href], button, summary, input[type=checkbox], [tabindex]";

function isEdited(field) {
  if (!field.options) return field.value !== field.defaultValue;
  const chosen = [...field.options].findIndex((each) => each.defaultSelected);
  return field.selectedIndex !== Math.max(chosen, 0);
}

function isBusy() {
  return document.activeElement?.matches(FIELDS)
    || [...main().querySelectorAll(FIELDS)].some(isEdited) // half filled, and left for a moment
    || document.querySelector("[name=id]:checked, dialog[open]")
    || main().matches(":active") // a click is not over yet: an update would swallow it
    || !getSelection().isCollapsed;
}

function isPaused() {
  return live?.getAttribute("aria-pressed") === "false";
}

// The button says how it is: it is read, too, and not only seen by its dot.
function tell(word, why = "", isAway = false) {
  if (!live || isPaused()) return;
  live.textContent = word;
  live.title = why;
  live.classList.toggle("away", isAway);
}

if (live) {
  live.hidden = false;
  live.addEventListener("click", () => {
    const isOn = !isPaused();
    live.setAttribute("aria-pressed", String(!isOn));
    live.textContent = isOn ? "Paused" : "Live";
    live.title = "";
    live.classList.remove("away");
  });
}

let before = null; // what somebody has opened and where they are, over an update

const idOf = (row) => row?.getAttribute("href") ?? row?.textContent;
const stops = (tr) => [...(tr ?? main()).querySelectorAll(STOPS)].filter((each) => tr || !each.closest("tr"));
const scrolling = () => [...main().querySelectorAll("pre, .graph")];

// Where the focus is: in which row, if in one, and at which of the things that can have it there.
function focused() {
  const at = document.activeElement;
  if (!main().contains(at)) return null;
  const tr = at.closest("tr");
  const row = tr?.querySelector("[data-row]");
  return { id: idOf(row), nth: stops(tr).indexOf(at), row: row ? rows().indexOf(row) : -1, tag: at.tagName };
}

function focusAgain({ id, nth, row, tag }) {
  const same = row < 0 ? null : rows().find((each) => idOf(each) === id);
  const found = row < 0 || same ? stops(same?.closest("tr"))[nth] : null;
  (found?.tagName === tag ? found : same ?? rows()[row])?.focus({ preventScroll: true });
}

// Whether the answer is a page of ours: after the end of a session it may be that of a log-in.
function isOurs(xhr) {
  return new URL(xhr.responseURL).pathname === location.pathname && xhr.responseText.includes('<main id="main"');
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt !== main()) return;
  const isHeld = isBusy();
  if (isHeld) tell("Held", "as it is while you write or select");
  if (isHeld || isPaused() || document.hidden) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { elt, xhr } = event.detail;
  if (elt !== main()) return;
  if (xhr.status < 400 && !isOurs(xhr)) {
    event.detail.shouldSwap = false;
    tell("Signed out", "load the page again to sign in", true);
    return;
  }
  if (xhr.status === 404 && isOurs(xhr)) { // what was shown is gone, and the page says so
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
  if (isBusy() || isPaused()) { event.detail.shouldSwap = false; return; }
  before = {
    details: [...main().querySelectorAll("details[id]")].map((each) => [each.id, each.open]),
    focus: focused(),
    scrolls: scrolling().map((each) => [each.scrollLeft, each.scrollTop]),
  };
});
document.addEventListener("htmx:afterSwap", () => {
  tell("Live");
  if (live) live.hidden = !main().hasAttribute("hx-get"); // it has ended, and will not change
  if (!before) return;
  for (const [id, open] of before.details) {
    const found = document.getElementById(id);
    if (found) found.open = open;
  }
  scrolling().forEach((each, i) => each.scrollTo(...(before.scrolls[i] ?? [0, 0])));
  if (before.focus) focusAgain(before.focus);
  before = null;
});
document.addEventListener("htmx:sendError", () => tell("No answer", "it will be asked again", true));
document.addEventListener("htmx:responseError", ({ detail: { xhr } }) => {
  const isOut = xhr.status === 401 || xhr.status === 403;
  if (isOut) tell("Signed out", "load the page again to sign in", true);
  else tell(`Error ${xhr.status}`, "it will be asked again", true);
});

// what an action had to say belongs to this once, and not into a link that is shared
const address = new URL(location.href);
if (address.searchParams.has("told")) {
  for (const name of ["told", "n", "left"]) address.searchParams.delete(name);
  history.replaceState(null, "", address);
}

// keys ----------------------------------------------------------------------------

function move(by) {
  const all = rows();
  const at = all.indexOf(document.activeElement?.closest("tr")?.querySelector("[data-row]"));
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
  next?.focus();
  next?.closest("tr").scrollIntoView({ block: "nearest" });
}

function press(key) {
  const row = document.activeElement?.closest("tr");
  (row ?? main().querySelector(".head"))?.querySelector(`[data-key="${key}"]`)?.click();
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  r: () => press("r"),
  x: () => document.activeElement?.closest("tr")?.querySelector("[name=id]")?.click(),
  "?": () => document.getElementById("keys").showModal(),
  "/": () => {
    const search = document.querySelector('[data-key="/"]');
    if (search) search.select();
    else location.href = document.querySelector('.side nav a[href$="/jobs"]').href + "#search";
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.matches(FIELDS)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (goes) {
    goes = false;
    if (event.key in GO) {
      event.preventDefault();
      location.href = document.querySelector(".brand").href + GO[event.key];
    }
    return;
  }
  if (event.key === "g") { goes = true; return; }
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); act(); }
});

if (location.hash === "#search") document.querySelector('[data-key="/"]')?.focus();
