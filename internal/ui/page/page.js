"use strict";
// Renews the page after each survey, unless somebody has frozen it or is reading a part of it.
const button = document.getElementById("freeze");
let frozen = false;
button.hidden = false;
button.addEventListener("click", () => {
  frozen = !frozen;
  button.setAttribute("aria-pressed", String(frozen));
  button.textContent = frozen ? "go on" : "freeze";
});
async function renew() {
  const main = document.getElementById("main");
  if (frozen || document.hidden || main.contains(document.activeElement)) return;
  const answer = await fetch(location.pathname + location.search);
  if (!answer.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  const open = new Map();
  for (const d of main.querySelectorAll("details")) open.set(d.id, d.open);
  const fresh = next.getElementById("main");
  for (const d of fresh.querySelectorAll("details")) {
    if (open.has(d.id)) d.open = open.get(d.id);
  }
  main.replaceChildren(...fresh.childNodes);
  document.title = next.title;
}
new EventSource("events").addEventListener("message", () => renew().catch(() => {}));
