// What a page does beyond HTML: keys, and to be left alone while somebody works on it.
"use strict";

const GO = { n: "", j: "jobs", g: "groups", e: "errors", q: "queues", s: "schedules", v: "services", w: "workers" };
const main = () => document.getElementById("main");
const rows = () => [...document.querySelectorAll("[data-row]")];
const live = document.getElementById("live");
let goes = false;

// liveness ------------------------------------------------------------------------

function isBusy() {
  const at = document.activeElement;
  return document.hidden || live?.getAttribute("aria-pressed") === "false"
    || at?.matches("input:not([type=checkbox]), select, textarea")
    || document.querySelector("[name=id]:checked, dialog[open]")
    || main().matches(":active") // a click is not over yet: an update would swallow it
    || !getSelection().isCollapsed;
}

if (live) {
  live.hidden = false;
  live.addEventListener("click", () => {
    const isOn = live.getAttribute("aria-pressed") === "true";
    live.setAttribute("aria-pressed", String(!isOn));
    live.textContent = isOn ? "Paused" : "Live";
  });
}

let before = null; // what somebody has opened and where they are, over an update

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt === main() && isBusy()) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.elt !== main()) return;
  if (isBusy()) { event.detail.shouldSwap = false; return; }
  before = {
    details: [...main().querySelectorAll("details[id]")].map((each) => [each.id, each.open]),
    href: document.activeElement?.getAttribute("href"),
    row: rows().indexOf(document.activeElement),
    scrolls: [...main().querySelectorAll("pre")].map((each) => each.scrollTop),
  };
});
document.addEventListener("htmx:afterSwap", () => {
  live?.classList.remove("away");
  if (!before) return;
  for (const [id, open] of before.details) {
    const found = document.getElementById(id);
    if (found) found.open = open;
  }
  main().querySelectorAll("pre").forEach((each, i) => { each.scrollTop = before.scrolls[i] ?? 0; });
  if (before.row >= 0) {
    const same = rows().find((each) => each.getAttribute("href") === before.href);
    (same ?? rows()[before.row])?.focus({ preventScroll: true });
  }
  before = null;
});
for (const name of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(name, () => live?.classList.add("away"));
}

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
  if (event.target.matches("input:not([type=checkbox]), select, textarea")) {
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
