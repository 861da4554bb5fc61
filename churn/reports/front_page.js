const here = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
// Airflow serves the same page, from a folder, and traces nobody.
const served = here && ["/", "/index.html"].includes(location.pathname);
const holds = { here, away: !here, served, apart: !served };
// To a browser, localhost and 127.0.0.1 are two sites, and the guard refuses requests from another.
// The server of the page adds the sites that run to the bar; the others have no link.
const running = new Set([...document.querySelectorAll(".site-nav a")].map((link) => link.port));
for (const link of document.querySelectorAll("[data-where=here] a")) {
  if (here) link.hostname = location.hostname;
  if (running.has(link.port)) continue;
  link.removeAttribute("href");
  link.className = "muted";
  link.append(" (not running)");
}
// The page is written once, and read later: a monthly extract is old after this many days.
const oldAfter = 45;
for (const banner of document.querySelectorAll("[data-day]")) {
  const days = Math.floor((Date.now() - Date.parse(banner.dataset.day)) / 864e5);
  if (!(days > 0)) continue;
  banner.lastElementChild.append(` The extract is ${days.toLocaleString("en")} day${days === 1 ? "" : "s"} old.`);
  if (days <= oldAfter || !banner.classList.replace("passed", "warned")) continue;
  banner.querySelector("[data-fresh]").textContent = "! Old";
  banner.lastElementChild.append(" Ask the data team for a new list before calling.");
}
for (const part of document.querySelectorAll("[data-where]")) {
  part.hidden = !holds[part.dataset.where];
}
