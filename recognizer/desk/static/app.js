"use strict";
// The script of the desk, whose pages talk to the server, and of the report, which is only read.
const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const root = document.documentElement;
const counted = (n, noun) => `${n.toLocaleString()} ${noun}${n === 1 ? "" : "s"}`;
const isReport = "report" in document.body.dataset;
const QUIET_MS = 350; // after a new listing, so that a double press does not decide it unseen
const PAGE_SIZE = 50;
const NOUN = document.body.dataset.noun; // what is decided: a listing, or a photo
const UNSEEN = "Not stored: the photo cannot be seen, and the audit sample asks what it shows. Skip it, or say unsure.";
const OFFLINE = "Not stored: the server does not answer. Try again.";
const KEYS = { c: "confirmed", r: "rejected", u: "unsure", e: "escalated", s: "skip", z: "undo" };
const ADJUST = { "+": ["zoom", 1], "=": ["zoom", 1], "-": ["zoom", -1], ".": ["light", 1], ",": ["light", -1] };
let busy = false;
let isDropped = false; // something was pressed while the server had not answered
let shownAt = 0;
let active = 0;
let listed = new URLSearchParams(); // the query of the list that the report has shown last

// --- what is remembered in this browser -----------------------------------------------------
function read(name, store = "localStorage") {
  try {
    return window[store].getItem(name);
  } catch {
    return null;
  }
}
function write(name, text, store = "localStorage") {
  try {
    window[store].setItem(name, text);
    return true;
  } catch {
    return false;
  }
}
function setToggle(name, on) {
  root.classList.toggle(`with-${name}`, on);
  for (const button of all(`[data-toggle=${name}], [data-view=${name}]`))
    button.setAttribute("aria-pressed", on);
  write(`review-${name}`, on ? "1" : "");
}
const isOn = (name) => root.classList.contains(`with-${name}`);

// --- notices and requests ---------------------------------------------------------------------
let noticeTimer = 0;
function notify(text, isError = false) {
  const notice = $("#notice");
  $("span", notice).textContent = text;
  notice.classList.toggle("error", isError);
  notice.hidden = !text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (notice.hidden = true), isError ? 12000 : 6000);
}
let afterName = null; // what was asked for before there was a name
function askName(then) {
  const dialog = $("#who");
  if (!dialog) return location.assign("/login");
  afterName = then;
  $("form", dialog).reset();
  $("[name=name]", dialog).value = $(".me bdi").textContent;
  if (!dialog.open) dialog.showModal();
}
async function send(data) {
  if (busy) return (isDropped = true);
  busy = true;
  document.body.classList.add("busy");
  try {
    const answer = await server.act(data);
    if (answer.needsName) return askName(() => send(data));
    if (answer.html !== undefined) {
      const [before, note] = [card()?.dataset.listing, $("#note")?.value];
      const isStored = answer.ok && !["skip", "undo"].includes(data.do);
      if (isStored) for (const guide of all(".guide[open]")) write(guideOf(guide), "1");
      if (before) write(noteOf(before), isStored ? "" : note ?? "", "sessionStorage");
      $("#desk").innerHTML = answer.html; // made and escaped by the server; no script in it runs
      if (answer.url) history.replaceState(null, "", answer.url);
      prepare(data.do === "undo" && said.get(card()?.dataset.listing));
      if (!answer.ok && note && card()?.dataset.listing !== before)
        answer.notice += " Your note is kept at that listing, in this window.";
      ($("#desk h1") || $("#desk")).focus({ preventScroll: true });
      if (card()) scrollTo(0, 0);
    }
    if (answer.open) countOpen(answer.open);
    if (isDropped) answer.notice += " What you pressed meanwhile was not taken: press it again.";
    notify(answer.notice || "", !answer.ok);
  } catch {
    notify(OFFLINE, true);
  } finally {
    busy = isDropped = false;
    document.body.classList.remove("busy");
  }
}

/** Show in the tabs how many listings are open. */
function countOpen(open) {
  for (const count of all("[data-count]")) {
    const n = open[count.dataset.count];
    count.textContent = n.toLocaleString();
    count.hidden = !n;
    if (count.dataset.count === "audit") count.closest("a").hidden = !n;
  }
}

const server = {
  async post(path, data) {
    const response = await fetch(path + location.search, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(data),
    });
    return { ok: response.ok, status: response.status, ...(await response.json()) };
  },
  async act(data) {
    const answer = await this.post("/act", data);
    return { ...answer, needsName: answer.status === 401 };
  },
  async signIn(form) {
    const response = await fetch("/login", { method: "POST", body: new URLSearchParams(form) });
    if (!response.ok) throw new Error("not signed in");
  },
  keep: (listing) => server.post("/act", { do: "keep", listing }).catch(() => {}),
};

// --- the card ---------------------------------------------------------------------------------
const card = () => $("#desk:not([hidden]) article.card");
const figure = () => $(".stage figure:not([hidden])", card() || document);
let opened = 1; // pages of its photos
let ticks = new Map(); // key of a photo -> the digest with which it was ticked, or null if not any more
const said = new Map(); // listing -> the ticks of the last verdict on it, for when it is taken back

function chosenLabel() {
  const other = $("#other-label");
  if (other && other.value) return other.value;
  const radio = $("input[name=label]:checked");
  return radio ? radio.value : null;
}
function verdict() {
  const also = Object.fromEntries([...ticks].filter(([, digest]) => digest));
  const without = [...ticks].filter(([, digest]) => !digest).map(([key]) => key);
  const { shown } = card().dataset;
  return { shown, note: $("#note")?.value.trim() || null, label: chosenLabel(), also, without, pages: opened };
}
const isVerdict = (what) => ["confirmed", "rejected"].includes(what);
function decide(what) {
  if (isReport) return;
  if (what === "undo") return send({ do: what, list: location.pathname === "/listings" });
  if (!card()) return;
  if (card().dataset.mayDecide !== "yes") return notify("Not stored: you can read this here, not decide.", true);
  if (what === "skip") send({ do: what, listing: card().dataset.listing });
  else judge({ do: what });
}
function decideGroup(dialog) {
  const what = $("input[type=radio]:checked", dialog).value;
  judge({ do: what, expected: Number(dialog.dataset.expected) });
}
/** Send a verdict on the photo that is shown, or, outside of the audit sample, why it is missing. */
function judge(action) {
  if (figure()?.classList.contains("waiting"))
    return notify("Not stored: the photo is not shown yet. Wait for it, or load the page again.", true);
  const isMissing = figure() && !$(".missing", figure()).hidden;
  if (isMissing && isVerdict(action.do) && card().classList.contains("blind")) return notify(UNSEEN, true);
  if (!busy) said.set(card().dataset.listing, ticks);
  send({ ...action, listing: card().dataset.listing, ...verdict() });
}
/** Change how a photo is shown, or with ``by`` 0 show it as it is. */
const look = { zoom: 1, light: 1 };
function adjust(name, by) {
  const [low, high, step] = name === "zoom" ? [1, 8, 1.25] : [0.4, 4, 1.2];
  look[name] = by ? Math.min(high, Math.max(low, look[name] * step ** by)) : 1;
  root.style.setProperty(`--${name}`, look[name]);
}
/** Show the leads of the photo that is shown, and its other scores. */
function showScores() {
  const panel = $("#may-show");
  const scores = figure() && $("[data-may-show]", figure());
  if (!panel) return;
  panel.hidden = !scores;
  panel.replaceChildren(scores ? scores.content.cloneNode(true) : "");
}
function showPhoto(key) {
  setHeat(false);
  adjust("zoom", 0);
  for (const one of all(".stage figure")) one.hidden = one.dataset.photo !== key;
  for (const button of all("[data-show]"))
    button.setAttribute("aria-current", button.dataset.show === key);
  $(`[data-show="${key}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  showScores();
}
function step(by) {
  const photos = all(".stage figure");
  const next = photos[photos.findIndex((one) => !one.hidden) + by];
  if (next) showPhoto(next.dataset.photo);
  else $(by > 0 ? "[data-page]:last-of-type" : "[data-page]")?.click();
}
async function turnPage(number) {
  const of = card();
  const response = await fetch(`/listing/${of.dataset.listing}/photos?page=${number}`).catch(() => null);
  if (!response?.ok) return notify(OFFLINE, true);
  const html = await response.text();
  if (card() !== of) return; // decided meanwhile
  $(".stage").outerHTML = html;
  opened = Math.max(opened, number);
  prepareStage();
}
function setHeat(on) {
  const image = figure() && $("img", figure());
  const button = $("[data-view=heat]");
  if (!image || !button) return;
  if (on && !image.dataset.heat) return notify("No heat-map: no lead of this photo, or no model.", true);
  button.setAttribute("aria-pressed", on);
  const caption = $(".of-heat", figure());
  if (caption) caption.hidden = !on;
  const wanted = image.dataset[on ? "heat" : "large"];
  if (!image.dataset.heat || image.getAttribute("src") === wanted) return;
  figure().classList.add("redrawn"); // not waiting: a verdict is on the photo, which was shown
  image.src = wanted;
}
function zoom() {
  const image = figure() && $("img", figure());
  const dialog = $("#zoom");
  if (dialog.open) return dialog.close();
  if (!image) return;
  if (isReport && image.dataset.original) return open(image.dataset.original, "_blank", "noopener");
  $("img", dialog).src = image.dataset.original || image.src;
  dialog.classList.remove("full");
  dialog.showModal();
}
async function explainMissing(image) {
  const owner = image.closest("figure");
  const response = await fetch(image.src).catch(() => null);
  if (!response || response.ok) return;
  const words = await response.text();
  if (image.getAttribute("src") === image.dataset.heat) {
    notify(words, true);
    return setHeat(false);
  }
  const missing = $(".missing", owner);
  missing.textContent = words;
  missing.hidden = false;
  $(".shot", owner).hidden = true;
  owner.classList.remove("waiting", "redrawn");
}
function prepareImages(within) {
  for (const image of all("img", within)) {
    const owner = image.closest("figure");
    if (!image.naturalWidth && !isReport) owner?.classList.add("waiting");
    image.addEventListener("load", () => owner?.classList.remove("waiting", "redrawn"));
    image.addEventListener("error", () => {
      if (owner && !isReport) return explainMissing(image);
      const tile = Object.assign(document.createElement("span"), { className: "none" });
      tile.textContent = "No photo";
      image.replaceWith(tile);
    });
    // Whether it failed before this was listening, or is lazy and not begun, is not said: ask again.
    if (image.src && image.complete && !image.naturalWidth) image.src = image.src;
  }
}
function prepareStage() {
  prepareImages($("#desk"));
  for (const box of all("[data-counts]"))
    if (ticks.has(box.dataset.counts)) box.checked = !!ticks.get(box.dataset.counts);
  if (isReport)
    for (const image of all(".strip img")) {
      const key = image.closest("[data-show]").dataset.show;
      image.src = $(`figure[data-photo="${key}"] img`)?.src ?? "";
    }
  setToggle("boxes", isOn("boxes"));
  showScores();
}
/** Open the photo with a lead of the product of the filter. */
function showFiltered() {
  const product = (isReport ? listed : new URLSearchParams(location.search)).get("product");
  const photo = product && all(".stage figure").find((one) => one.dataset.leads?.split(" ").includes(product));
  if (photo) showPhoto(photo.dataset.photo);
}
/** The name under which a guide is remembered as read, after which it is folded. */
const guideOf = (guide) => `guide ${guide.dataset.guide}`;
function foldGuides() {
  for (const guide of all(".guide[data-guide]", card() ?? document)) {
    if (!isReport) guide.open = !read(guideOf(guide));
    guide.addEventListener("click", () => write(guideOf(guide), guide.open ? "1" : ""));
  }
}
/** The name of a note that was not stored yet, so that it need not be typed again. */
const noteOf = (listing) => `note ${$(".me bdi")?.textContent} ${listing}`;
function prepare(undone) {
  shownAt = performance.now();
  if ($("#note")) $("#note").value ||= read(noteOf(card().dataset.listing), "sessionStorage") ?? "";
  for (const name in look) adjust(name, 0);
  ticks = new Map(undone || []);
  opened = 1;
  prepareStage();
  foldGuides();
  showFiltered();
  setToggle("grid", isOn("grid"));
  countPicked();
}

// --- the list: several listings at once -------------------------------------------------------
const isShown = (element) => element.getClientRects().length > 0;
const rows = () => all(".rows > [data-key]").filter(isShown);
const picked = () => rows().filter((row) => $("[data-pick]", row)?.checked);
let lastPicked = null;

function countPicked() {
  const bar = $(".picking");
  if (!bar) return;
  bar.hidden = !picked().length;
  $("[data-picked]", bar).textContent = `${picked().length} picked`;
}
function pick(row, on, range = false) {
  const shown = rows();
  const ends = [shown.indexOf(range && lastPicked ? lastPicked : row), shown.indexOf(row)];
  const [from, to] = ends.sort((a, b) => a - b);
  for (const one of shown.slice(Math.max(from, 0), to + 1)) {
    const box = $("[data-pick]", one);
    if (box) box.checked = on && !box.disabled;
  }
  lastPicked = row;
  countPicked();
}
function move(by) {
  const shown = rows();
  const at = shown.indexOf(document.activeElement.closest("[data-key]"));
  const next = shown[at < 0 ? 0 : at + by];
  if (!next) return;
  $(".row", next).focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}
function decideMany(what) {
  const waiting = picked().filter((row) => $("img", row)?.naturalWidth === 0);
  if (waiting.length)
    return notify(`Not stored: ${counted(waiting.length, "photo")} not shown yet. Scroll down, or wait.`, true);
  const isAudit = new URLSearchParams(location.search).get("section") === "audit";
  if (isAudit && isVerdict(what) && picked().some((row) => $(".none", row))) return notify(UNSEEN, true);
  const shown = picked().map(({ dataset }) => [dataset.key, dataset.shown]);
  if (!shown.length) return notify("Not stored: nothing is picked.", true);
  send({ do: what, listings: Object.fromEntries(shown), list: true });
}
/** How many rows lie in a line of the grid. */
function across() {
  const [first, ...others] = rows();
  const next = others.findIndex((row) => row.offsetTop > first.offsetTop);
  return next < 0 ? others.length + 1 : next + 1;
}

// --- events -----------------------------------------------------------------------------------
document.addEventListener("click", (event) => {
  const box = event.target.closest("[data-pick]");
  if (box) return pick(box.closest("[data-key]"), box.checked, event.shiftKey);
  const target = event.target.closest("button, .pan img, .shot img");
  if (!target) return;
  const data = target.dataset;
  if (data.do) decide(data.do);
  else if (data.many) decideMany(data.many);
  else if ("unpick" in data) for (const row of picked()) pick(row, false);
  else if (data.toggle) setToggle(data.toggle, !isOn(data.toggle));
  else if (data.view === "boxes") setToggle("boxes", !isOn("boxes"));
  else if (data.view === "heat") setHeat(target.getAttribute("aria-pressed") !== "true");
  else if (data.view === "zoom") zoom();
  else if (data.adjust) adjust(data.adjust, Number(data.by));
  else if (data.show) showPhoto(data.show);
  else if (data.page) turnPage(data.page);
  else if (data.open === "who") askName(null);
  else if (data.open) $(`#${data.open}`).showModal();
  else if ("bulk" in data) $("[data-bulk-dialog]").showModal();
  else if ("bulkDo" in data) decideGroup(target.closest("dialog"));
  else if (target.id === "sign-out")
    server.post("/logout", {}).then((answer) => location.assign(answer.url ?? "/login"));
  else if (target.closest(".pan")) $("#zoom").classList.toggle("full");
  else if (target.closest(".shot")) zoom();
});
document.addEventListener("change", (event) => {
  const { dataset } = event.target;
  const dialog = event.target.closest("[data-bulk-dialog]");
  if (dialog) $("[data-bulk-do]", dialog).disabled = false;
  if (dataset.counts) {
    if (event.target.checked === event.target.defaultChecked) ticks.delete(dataset.counts);
    else {
      const { sha256 } = $(`figure[data-photo="${dataset.counts}"]`).dataset;
      ticks.set(dataset.counts, event.target.checked ? sha256 : null);
    }
  }
  if (event.target.id === "other-label" && event.target.value)
    for (const radio of all("input[name=label]")) radio.checked = false;
  if (event.target.name === "label") $("#other-label").value = "";
});
$("#who form")?.addEventListener("submit", async (event) => {
  const then = afterName;
  try {
    await server.signIn(new FormData(event.target));
    then?.();
  } catch {
    notify("Give a name of 1 to 60 characters.", true);
    askName(then);
  }
});
function pressOnCard(key, event) {
  if (KEYS[key]) {
    if (performance.now() - shownAt >= QUIET_MS) decide(KEYS[key]);
    else if (!isReport) notify(`Not taken, too early: press ${key} again.`);
  } else if (key in ADJUST) adjust(...ADJUST[key]);
  else if (key === "0") for (const name in look) adjust(name, 0);
  else if (key === "a") $("[data-bulk]")?.click();
  else if (key === "h") $("[data-view=heat]")?.click();
  else if (key === "b") $("[data-view=boxes]")?.click();
  else if (key === "o") zoom();
  else if (key === "ArrowLeft") step(-1);
  else if (key === "ArrowRight") step(1);
  else if (key === "x") $(`[data-counts="${figure()?.dataset.photo}"]`)?.click();
  else if (/^[1-6]$/.test(key)) {
    const radio = $(`input[name=label][data-key="${key}"]`);
    if (radio && radio.checked) radio.checked = false;
    else radio?.click();
  } else if (key === "n" && $("#note")) {
    event.preventDefault(); // else the letter lands in the note
    $("#note").focus();
  }
}
function pressOnList(key, event) {
  const focused = document.activeElement.closest("[data-key]");
  const grid = isOn("grid");
  const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: grid ? -across() : -1 };
  moves.ArrowDown = grid ? across() : 1;
  if (moves[key]) {
    event.preventDefault();
    move(moves[key]);
  } else if (key === "x" && focused) {
    pick(focused, !$("[data-pick]", focused)?.checked, event.shiftKey);
  } else if (key === "a") {
    const on = picked().length === 0;
    for (const row of rows()) pick(row, on);
  } else if (key === "v") $("[data-toggle=grid]").click();
  else if (key === "Escape") for (const row of picked()) pick(row, false);
  else if (KEYS[key] && key !== "s" && key !== "z" && !isReport) decideMany(KEYS[key]);
  else if (key === "z") decide("undo");
}
document.addEventListener("keydown", (event) => {
  active = performance.now();
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = event.target.matches("textarea, select, input:not([type=radio], [type=checkbox])");
  if (event.key === "Escape" && typing) event.target.blur();
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const bulk = $("[data-bulk-dialog][open]");
  if (bulk && KEYS[key]) $(`[value=${KEYS[key]}]`, bulk)?.click();
  if (typing || event.repeat || $("dialog[open]:not(#zoom)")) return;
  if ($("#zoom")?.open && key !== "o") return;
  if (KEYS[key]) event.preventDefault(); // else the letter lands in the dialog that asks for a name
  if (busy && (KEYS[key] || /^[1-6axn]$/.test(key))) return (isDropped = true);
  if (key === "l" || key === "g") $(`[data-toggle=${key === "l" ? "blur" : "gray"}]`)?.click();
  else if (key === "?") $("#keys")?.showModal();
  else if (key === "/") {
    const field = all("input[type=search]").find((one) => isShown(one.closest("details")));
    if (!field) return;
    event.preventDefault();
    field.closest("details").open = true;
    field.focus();
  } else if (card()) pressOnCard(key, event);
  else if ($(".rows") && isShown($(".rows"))) pressOnList(key, event);
  else if (key === "z") decide("undo");
});
document.addEventListener("pointermove", (event) => {
  active = performance.now();
  const shot = event.target.closest?.(".shot");
  if (!shot) return; // a larger photo shows the part that the pointer is on
  const box = shot.getBoundingClientRect();
  const share = (at, from, size) => `${Math.min(100, Math.max(0, (100 * (at - from)) / size))}%`;
  root.style.setProperty("--x", share(event.clientX, box.left, box.width));
  root.style.setProperty("--y", share(event.clientY, box.top, box.height));
}, { passive: true });

// --- the report: the pages of the desk to read, without a server ---------------------------------
const entries = isReport ? all("#listings [data-key]") : [];
const copies = new Map(entries.map((row) => [row, JSON.parse(row.dataset.copies)])); // a listing and its near-copies
const SORTS = { score: ["score", -1], seen: ["seen", -1] };
Object.assign(SORTS, { new: ["date", -1], old: ["date", 1], seller: ["seller", 1] });

const route = () => {
  const [path, query] = (location.hash.slice(1) || "/").split("?");
  return { path, query: new URLSearchParams(query) };
};
/** Return the rows with a listing that a query matches, in its order, and how many listings it matches. */
function matching(query) {
  const words = (query.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const state = query.get("state") || "open";
  const section = query.get("section") || "queue";
  const product = query.get("product");
  const is = (name, value) => !query.get(name) || query.get(name).toLowerCase() === value?.toLowerCase();
  const least = Number(query.get("min_score")?.replace(",", ".") || NaN);
  const matches = (copy) =>
    (!product || copy.products.includes(product)) &&
    ["level", "location", "seller", "scan"].every((name) => is(name, copy[name])) &&
    (!query.get("reported") || copy.reports > 0) &&
    (isNaN(least) || (copy.score !== null && copy.score >= least)) &&
    words.every((word) => copy.text.includes(word));
  let count = 0;
  const found = entries.filter((row) => {
    const { dataset } = row;
    if (dataset.section !== section || (state !== "all" && dataset.state !== state)) return false;
    const number = copies.get(row).filter(matches).length;
    count += number;
    return number > 0;
  });
  const [name, sign] = SORTS[query.get("sort")] ?? [];
  if (!name) return [found, count];
  const isNumber = name === "score";
  const by = ({ dataset }) => (isNumber ? Number(dataset[name]) : dataset[name].toLowerCase());
  const order = (one, other) => sign * (by(one) < by(other) ? -1 : Number(by(one) > by(other)));
  const [empty, full] = [found.filter((row) => !row.dataset[name]), found.filter((row) => row.dataset[name])];
  return [[...full.sort(order), ...empty], count];
}
function showList(query) {
  listed = query;
  const [found, count] = matching(query);
  const pages = Math.max(1, Math.ceil(found.length / PAGE_SIZE));
  const page = Math.min(pages, Math.max(1, Number(query.get("page")) || 1));
  const shown = new Set(found.slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE));
  $("#listings .rows").prepend(...found);
  for (const entry of entries) {
    entry.hidden = !shown.has(entry);
    const image = $("img", entry);
    if (shown.has(entry) && image && !image.src) {
      const content = $(`template[data-card="${entry.dataset.key}"]`).content;
      image.src = $(".shot img", content)?.src ?? "data:,";
    }
  }
  $("#listings .empty").hidden = found.length > 0;
  const folded = count - found.length;
  $("#found").textContent = counted(found.length, NOUN) + (folded ? `; near-copies: ${folded}` : "");
  $("#pages").hidden = pages < 2;
  $("#pages span").textContent = `Page ${page} of ${pages}`;
  for (const [rel, number] of [["prev", page - 1], ["next", page + 1]]) {
    const to = new URLSearchParams(query);
    to.set("page", number);
    turn($(`#pages [rel=${rel}]`), number > 0 && number <= pages && `#/?${to}`);
  }
  for (const option of all("#listings [data-choice]")) {
    const under = new URLSearchParams(query);
    under.set(option.parentElement.name, option.value);
    option.textContent = `${option.dataset.choice} (${matching(under)[1]})`;
  }
  for (const field of $("#listings form").elements) {
    if (field.type === "checkbox") field.checked = !!query.get(field.name);
    else if (field.name) field.value = query.get(field.name) ?? (field.name === "state" ? "open" : "");
  }
}
function turn(button, to) {
  button.hidden = !to;
  button.href = to || "";
}
function showCard(key) {
  $("#desk").replaceChildren($(`template[data-card="${key}"]`).content.cloneNode(true));
  const keys = matching(listed)[0].map((entry) => entry.dataset.key);
  const at = keys.indexOf(key);
  for (const [rel, to] of [["prev", keys[at - 1]], ["next", at < 0 ? null : keys[at + 1]]])
    turn($(`#around [rel=${rel}]`), to && `#/listing/${to}`);
  prepare();
}
function go() {
  const { path, query } = route();
  const key = path.startsWith("/listing/") && path.slice(9);
  const isCard = !!key && entries.some((entry) => entry.dataset.key === key);
  const isSummary = path === "/summary";
  $("#listings").hidden = isCard || isSummary;
  $("#summary").hidden = !isSummary;
  $("#desk").hidden = $("#around").hidden = !isCard;
  const tab = isSummary ? path : query.get("section") === "audit" ? "/?section=audit" : "/";
  for (const link of all("nav a[href^='#']"))
    link.toggleAttribute("aria-current", link.getAttribute("href") === `#${tab}`);
  $("#listings h1").textContent = ($("nav [aria-current]") || $("nav a")).firstChild.data;
  if (isCard) showCard(key);
  else if (!isSummary) showList(query);
  scrollTo(0, 0);
}

// --- at the start -----------------------------------------------------------------------------
for (const name of ["blur", "gray", "boxes", "grid"]) setToggle(name, read(`review-${name}`) === "1");
const narrow = matchMedia("(max-width: 860px)").matches;
for (const inset of all(".filter-bar.inset")) if (narrow) inset.open = false;
if (isReport) {
  go();
  addEventListener("hashchange", go);
  $("#listings form").addEventListener("submit", (event) => {
    event.preventDefault();
    const given = [...new FormData(event.target)].filter(([, value]) => value);
    location.hash = `#/?${new URLSearchParams(given)}`;
  });
} else {
  prepare();
  // The listing stays with whoever works; it goes back when they have left.
  setInterval(() => {
    if (card() && performance.now() - active < 60000) server.keep(card().dataset.listing);
  }, 60000);
}
