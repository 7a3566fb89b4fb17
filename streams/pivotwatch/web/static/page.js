// Keeps the page up to date. The server makes every bit of HTML; this fetches the page again when something
// has happened and puts in what differs, so focus, open details and half-filled forms stay as they are.
"use strict";

const SOON = 250;
const AGAIN = 2000;
const ANYWAY = 30000;
const parts = "[data-live], [data-keyed]";

/** What the server last sent of an element, by its id. */
const sent = new Map();
let cursor = document.body.dataset.cursor;
let fetching = false;
let wanted = false;

function remember(root) {
  for (const part of root.querySelectorAll(parts)) {
    if (part.hasAttribute("data-keyed")) for (const child of part.children) sent.set(child.id, child.outerHTML);
    else sent.set(part.id, part.outerHTML);
  }
}

function replaced(old, fresh) {
  const open = old ? [...old.querySelectorAll("details[open]")].map((one) => one.id) : [];
  sent.set(fresh.id, fresh.outerHTML);
  const made = document.importNode(fresh, true);
  for (const id of open) {
    const details = made.id === id ? made : made.querySelector("#" + CSS.escape(id));
    if (details) details.open = true;
  }
  return made;
}

function merge(fresh) {
  const focus = document.activeElement;
  const path = focus && focus !== document.body ? [focus.id, focus.getAttribute("href")] : null;
  for (const part of document.querySelectorAll(parts)) {
    const other = fresh.getElementById(part.id);
    if (!other) continue;
    if (part.hasAttribute("data-keyed")) mergeKeyed(part, other);
    else if (sent.get(part.id) !== other.outerHTML) part.replaceWith(replaced(part, other));
  }
  document.title = fresh.title;
  ages();
  if (path && !document.contains(focus)) {
    const [id, href] = path;
    const again = (id && document.getElementById(id)) || (href && document.querySelector(`main a[href="${CSS.escape(href)}"]`));
    if (again) again.focus({ preventScroll: true });
  }
}

function mergeKeyed(part, other) {
  const wantedIds = new Set([...other.children].map((child) => child.id));
  for (const child of [...part.children]) if (!wantedIds.has(child.id)) child.remove();
  [...other.children].forEach((child, at) => {
    let mine = document.getElementById(child.id);
    if (!mine || sent.get(child.id) !== child.outerHTML) {
      const made = replaced(mine, child);
      if (mine) mine.replaceWith(made);
      else made.classList.add("fresh");
      mine = made;
    }
    if (part.children[at] !== mine) part.insertBefore(mine, part.children[at] || null);
  });
}

async function refresh() {
  if (fetching) {
    wanted = true;
    return;
  }
  fetching = true;
  try {
    const answer = await fetch(location.pathname + location.search, { cache: "no-store" });
    if (answer.redirected) location.reload();
    else if (answer.ok) merge(new DOMParser().parseFromString(await answer.text(), "text/html"));
    else wanted = true;
  } catch {
    wanted = true; // The server is away; it will be asked again.
  }
  fetching = false;
  if (wanted) {
    wanted = false;
    setTimeout(refresh, AGAIN);
  }
}

let planned = 0;
function soon() {
  if (!planned)
    planned = setTimeout(() => {
      planned = 0;
      refresh();
    }, SOON);
}

function span(seconds) {
  for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"]])
    if (seconds >= 2 * unit || (unit === 60 && seconds >= 60)) return `${Math.floor(seconds / unit)} ${name}`;
  return `${Math.max(0, Math.floor(seconds))} s`;
}

function ages() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    const text = `${span(seconds)} ${time.dataset.ago}`;
    // A replayed past is told as a date, not as so many days.
    if (seconds < 14 * 86400 || time.dataset.ago !== "ago") {
      if (time.textContent !== text) time.textContent = text;
    }
    time.title = time.dateTime;
  }
}

function say(text) {
  const line = document.createElement("p");
  line.textContent = text;
  const said = document.getElementById("said");
  said.append(line);
  while (said.children.length > 5) said.firstChild.remove();
}

function lamp(word) {
  const link = document.getElementById("link");
  link.className = "link " + { live: "on", reconnecting: "off", paused: "" }[word];
  const label = document.getElementById("link-word");
  if (label.textContent !== word) label.textContent = word;
}

let source = null;

/** A browser has six connections to a place: a page that nobody sees holds none of them. */
function followIfSeen() {
  if (document.visibilityState === "visible") {
    if (!source) follow();
  } else if (source) {
    source.close();
    source = null;
    lamp("paused");
  }
}

function follow() {
  const mine = (source = new EventSource("/api/v1/events?since=" + encodeURIComponent(cursor)));
  const happened = (event) => {
    if (event.lastEventId) cursor = event.lastEventId;
    soon();
    return JSON.parse(event.data);
  };
  mine.addEventListener("hello", () => {
    lamp("live");
    soon();
  });
  mine.addEventListener("alert", (event) => {
    const told = happened(event);
    document.documentElement.dataset.alerts = Number(document.documentElement.dataset.alerts || 0) + 1;
    if (told.opened && told.severity !== "info") say(`New incident, ${told.severity}: ${told.what} moved to ${told.model}.`);
  });
  mine.addEventListener("decision", (event) => {
    const told = happened(event);
    say(`${told.target}: ${told.verdict || "decision taken back"}${told.by ? " by " + told.by : ""}.`);
  });
  mine.addEventListener("status", happened);
  mine.addEventListener("reset", happened);
  mine.addEventListener("error", () => {
    if (mine !== source) return;
    lamp("reconnecting");
    if (mine.readyState === EventSource.CLOSED) {
      source = null;
      refresh(); // Logged out meanwhile?
      setTimeout(followIfSeen, AGAIN);
    }
  });
}

remember(document);
ages();
setInterval(ages, 5000);
if (cursor !== undefined) {
  followIfSeen();
  document.addEventListener("visibilitychange", followIfSeen);
  setInterval(refresh, ANYWAY);
}
