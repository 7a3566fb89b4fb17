// Keeps the page up to date. The server renders all HTML. After an event this script fetches the page again and
// replaces the parts that differ, so focus, open details and half-filled forms stay as they are.
"use strict";

const SOON = 250;
const AGAIN = 2000;
const ANYWAY = 30000;
const parts = "[data-live], [data-keyed]";

/** The last HTML that the server sent for an element, by its id. */
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
    wanted = true; // The server does not answer; try again.
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
    // Times long ago, as in a replay, stay dates.
    if (seconds < 14 * 86400 || time.dataset.ago !== "ago") {
      if (time.textContent !== text) time.textContent = text;
    }
    time.title = time.dateTime;
  }
}

function announce(text) {
  const line = document.createElement("p");
  line.textContent = text;
  const said = document.getElementById("said");
  said.append(line);
  while (said.children.length > 5) said.firstChild.remove();
}

function showConnection(word) {
  const link = document.getElementById("link");
  link.className = "link " + { live: "on", reconnecting: "off", paused: "" }[word];
  const label = document.getElementById("link-word");
  if (label.textContent !== word) label.textContent = word;
}

let source = null;

/** A browser allows six connections per host, so a hidden page holds none. */
function followIfSeen() {
  if (document.visibilityState === "visible") {
    if (!source) follow();
  } else if (source) {
    source.close();
    source = null;
    showConnection("paused");
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
    showConnection("live");
    soon();
  });
  mine.addEventListener("alert", (event) => {
    const data = happened(event);
    document.documentElement.dataset.alerts = Number(document.documentElement.dataset.alerts || 0) + 1;
    if (data.opened && data.severity !== "info") announce(`New incident, ${data.severity}: ${data.title}.`);
  });
  mine.addEventListener("decision", (event) => {
    const data = happened(event);
    announce(`Decision on ${data.target}: ${data.verdict || "taken back"}${data.by ? " by " + data.by : ""}.`);
  });
  mine.addEventListener("status", happened);
  mine.addEventListener("reset", happened);
  mine.addEventListener("error", () => {
    if (mine !== source) return;
    showConnection("reconnecting");
    if (mine.readyState === EventSource.CLOSED) {
      source = null;
      refresh(); // The session may have ended.
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
