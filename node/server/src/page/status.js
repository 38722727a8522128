// Renews the page in place every five seconds. When that fails it says since when what is shown is old: a wall screen must
// never go on showing green for a node that is gone.
"use strict";
let renewed = new Date();
async function renew() {
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(4000) });
    if (!answer.ok) throw new Error(String(answer.status));
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("status").replaceWith(document.adoptNode(next.getElementById("status")));
    document.title = next.title;
    tell();
    renewed = new Date();
    show(false);
  } catch {
    show(true);
  }
}
// Times of day as the clocks on this wall show them; without the script they are told in UTC.
function tell() {
  for (const time of document.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  }
}
function show(old) {
  document.body.classList.toggle("old", old);
  document.getElementById("old").hidden = !old;
  document.getElementById("old-at").textContent = renewed.toLocaleTimeString();
}
tell();
setInterval(renew, 5000);
