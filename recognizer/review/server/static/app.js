"use strict";
const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const root = document.documentElement;
const token = $("meta[name=review-token]").content;
const QUIET_MS = 350; // after a new listing, so that a double press does not decide it unseen
let busy = false;
let shownAt = 0;
let active = 0;

// --- what is remembered in this browser -----------------------------------------------------
function setToggle(name, on) {
  root.classList.toggle(`with-${name}`, on);
  for (const button of all(`[data-toggle=${name}], [data-view=${name}]`))
    button.setAttribute("aria-pressed", on);
  try {
    localStorage.setItem(`review-${name}`, on ? "1" : "");
  } catch {}
}
function remembered(name) {
  try {
    return localStorage.getItem(`review-${name}`);
  } catch {
    return null;
  }
}
for (const name of ["blur", "grey", "boxes"]) setToggle(name, remembered(name) === "1");

// --- requests ---------------------------------------------------------------------------------
async function post(path, data) {
  const response = await fetch(path + location.search, {
    method: "POST",
    headers: { "content-type": "application/json", "x-review-token": token },
    body: JSON.stringify(data),
  });
  return { ok: response.ok, status: response.status, ...(await response.json()) };
}
let noticeTimer = 0;
function notify(text, isError = false) {
  const notice = $("#notice");
  $("span", notice).textContent = text;
  notice.classList.toggle("error", isError);
  notice.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (notice.hidden = true), isError ? 12000 : 6000);
}
async function send(path, data) {
  if (busy) return;
  busy = true;
  document.body.classList.add("busy");
  try {
    const answer = await post(path, data);
    if (answer.html !== undefined) {
      $("#desk").innerHTML = answer.html; // made and escaped by the server; no script in it runs
      history.replaceState(null, "", answer.url);
      prepare();
      ($("#desk h1") || $("#desk")).focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    if (answer.status === 403 && !answer.html) location.assign("/login");
    notify(answer.notice || "", !answer.ok);
    if (answer.status === 409) setTimeout(() => location.assign("/" + location.search), 1500);
  } catch {
    notify(document.body.dataset.offline, true);
  } finally {
    busy = false;
    document.body.classList.remove("busy");
  }
}

// --- the card ---------------------------------------------------------------------------------
const card = () => $("article.card");
const figure = () => $(".stage figure:not([hidden])");

function chosenLabel() {
  const other = $("#other-label");
  if (other && other.value) return other.value;
  const radio = $("input[name=label]:checked");
  return radio ? radio.value : null;
}
function said() {
  return { note: $("#note")?.value || null, label: chosenLabel() };
}
function decide(what) {
  if (what === "undo") return send("/act", { do: what });
  if (!card() || card().dataset.mayDecide !== "yes") return;
  const photos = all("[data-counts]");
  const counted = photos.filter((box) => box.checked).map((box) => Number(box.dataset.counts));
  const changed = photos.some((box) => box.checked !== box.defaultChecked);
  send("/act", {
    do: what,
    listing: Number(card().dataset.listing),
    photos: changed || what === "confirm" ? counted : [],
    ...said(),
  });
}
function showPhoto(number) {
  for (const one of all(".stage figure")) one.hidden = one.dataset.photo !== String(number);
  for (const button of all("[data-show]"))
    button.setAttribute("aria-current", button.dataset.show === String(number));
  setHeat(false);
}
function step(by) {
  const photos = all(".stage figure");
  const at = photos.findIndex((one) => !one.hidden);
  const next = photos[at + by];
  if (next) showPhoto(next.dataset.photo);
}
function setHeat(on) {
  const image = figure() && $("img", figure());
  const button = $("[data-view=heat]");
  if (!image || !button) return;
  button.setAttribute("aria-pressed", on);
  figure().classList.toggle("waiting", on);
  // It keeps its size on the page, whatever that of the heat-map is.
  if (on && image.clientWidth) {
    [image.width, image.height] = [image.clientWidth, image.clientHeight];
  } else if (!on) {
    for (const side of ["width", "height"]) image.removeAttribute(side);
  }
  image.src = on ? image.dataset.heat : image.dataset.large;
}
function zoom() {
  const image = figure() && $("img", figure());
  if (!image) return;
  const dialog = $("#zoom");
  if (dialog.open) return dialog.close();
  $("img", dialog).src = image.dataset.original;
  dialog.classList.remove("full");
  dialog.showModal();
}
async function explainMissing(image) {
  const owner = image.closest("figure");
  if (!owner || !image.src) return;
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
}
function prepare() {
  shownAt = performance.now();
  for (const image of all("img", $("#desk"))) {
    image.addEventListener("load", () => image.closest("figure")?.classList.remove("waiting"));
    image.addEventListener("error", () => {
      image.closest("figure")?.classList.remove("waiting");
      if (image.closest(".stage figure")) explainMissing(image);
      else image.classList.add("gone");
    });
    if (image.complete && !image.naturalWidth && image.loading !== "lazy")
      image.dispatchEvent(new Event("error"));
  }
  setToggle("boxes", root.classList.contains("with-boxes"));
}

// --- events -----------------------------------------------------------------------------------
document.addEventListener("click", (event) => {
  const target = event.target.closest("button, .pan img, .shot img");
  if (!target) return;
  const { do: what, toggle, view, show, open, bulk } = target.dataset;
  if (what) decide(what);
  else if (toggle) setToggle(toggle, !root.classList.contains(`with-${toggle}`));
  else if (view === "boxes") setToggle("boxes", !root.classList.contains("with-boxes"));
  else if (view === "heat") setHeat(target.getAttribute("aria-pressed") !== "true");
  else if (view === "zoom") zoom();
  else if (show) showPhoto(show);
  else if (open) $(`#${open}`).showModal();
  else if (bulk) $(`[data-bulk-dialog=${bulk}]`).showModal();
  else if ("bulkDo" in target.dataset) {
    const dialog = target.closest("dialog");
    send("/act", {
      do: $("input[type=radio]:checked", dialog).value,
      by: dialog.dataset.bulkDialog,
      expected: Number(dialog.dataset.expected),
      listing: Number(card().dataset.listing),
      ...said(),
    });
  } else if (target.id === "sign-out") post("/logout", {}).then((a) => location.assign(a.url));
  else if (target.closest(".pan")) $("#zoom").classList.toggle("full");
  else if (target.closest(".shot")) zoom();
});
document.addEventListener("change", (event) => {
  const dialog = event.target.closest("[data-bulk-dialog]");
  if (dialog) $("[data-bulk-do]", dialog).disabled = false;
  if (event.target.id === "other-label" && event.target.value)
    for (const radio of all("input[name=label]")) radio.checked = false;
  if (event.target.name === "label") $("#other-label").value = "";
});
const KEYS = { c: "confirm", r: "reject", u: "unsure", e: "escalate", s: "skip", z: "undo" };
document.addEventListener("keydown", (event) => {
  active = performance.now();
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = event.target.matches("textarea, select, input:not([type=radio], [type=checkbox])");
  if (event.key === "Escape" && typing) event.target.blur();
  if (typing || event.repeat || $("dialog[open]:not(#zoom)")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if ($("#zoom")?.open && key !== "o") return;
  if (KEYS[key]) {
    if (performance.now() - shownAt < QUIET_MS) return;
    if (key === "z" || card()) decide(KEYS[key]);
  } else if (key === "h") $("[data-view=heat]")?.click();
  else if (key === "b") $("[data-view=boxes]")?.click();
  else if (key === "o") zoom();
  else if (key === "l" || key === "g") $(`[data-toggle=${key === "l" ? "blur" : "grey"}]`)?.click();
  else if (key === "ArrowLeft") step(-1);
  else if (key === "ArrowRight") step(1);
  else if (key === "x") $(`[data-counts="${figure()?.dataset.photo}"]`)?.click();
  else if (key === "?") $("#keys")?.showModal();
  else if (/^[1-6]$/.test(key)) {
    const radio = $(`input[name=label][data-key="${key}"]`);
    if (radio && radio.checked) radio.checked = false;
    else radio?.click();
  } else if (key === "n" && $("#note")) {
    event.preventDefault();
    $("#note").focus();
  } else if (key === "/" && $("input[type=search]")) {
    event.preventDefault();
    const details = $(".filter-bar");
    if (details) details.open = true;
    $("input[type=search]").focus();
  }
});
document.addEventListener("pointermove", () => (active = performance.now()), { passive: true });
const inset = $(".filter-bar.inset");
if (inset && matchMedia("(max-width: 860px)").matches) inset.open = false;
// The listing stays with whoever works; it goes back when they have left.
setInterval(() => {
  if (card() && performance.now() - active < 60000) post("/keep", {}).catch(() => {});
}, 60000);
prepare();
