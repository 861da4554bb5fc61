const here = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);
// Airflow serves the same page, from a folder, and traces nobody.
const served = here && ["/", "/index.html"].includes(location.pathname);
const holds = { here, away: !here, served, apart: !served };
// To a browser, localhost and 127.0.0.1 are two sites, and the guard refuses requests from another.
for (const link of document.querySelectorAll("[data-where=here] a")) {
  if (here) link.hostname = location.hostname;
}
for (const part of document.querySelectorAll("[data-where]")) {
  part.hidden = !holds[part.dataset.where];
}
