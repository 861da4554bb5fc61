// Draw the lineage: all of it if its labels can be read, otherwise the part around its start.
const LABEL = 24, SMALLEST = 11;

function fitLineage(graph, view) {
  graph.resize();
  graph.fit(25);
  if (view?.size !== "fullscreen" || LABEL * graph.zoom() >= SMALLEST || graph.nodes().empty()) return;
  const named = readNames(), selected = graph.nodes("[selected = 1]");
  const subject = graph.nodes().filter((node) => named.includes(node.data("name")));
  const choice = subject.length === 1 ? subject : selected;
  const start = choice.nonempty()
    ? choice.first()
    : graph.nodes().roots().max((node) => node.successors().length).ele;
  graph.zoom(SMALLEST / LABEL);
  graph.center(start);
  const { y1: top } = graph.elements().renderedBoundingBox();
  const { y2: bottom } = start.renderedBoundingBox();
  // Use the space above the first table, as long as the start stays visible.
  if (top > 25 && bottom > 25) graph.panBy({ x: 0, y: 25 - top });
}

// Return the names of the tables that the address selects, without their signs: +name+.
function readNames() {
  const selection = new URLSearchParams(location.hash.split("?")[1]).get("g_i") ?? "";
  return selection.split(/[\s,+@]+/).filter(Boolean);
}

// The page draws the graph of its address only once, when it is loaded. A link to a graph, or a
// step back, loads it again; the page itself changes the address after it has changed the graph.
function followAddress() {
  const isAsked = /[?&]g_v=1/.test(location.hash);
  const isOpen = document.querySelector('.launcher.on[data-launcher="fullscreen"]') !== null;
  if (isAsked !== isOpen) location.reload();
  else markCurrentLink();
}

// Mark "Lineage" in the bar of the site while the graph is open, otherwise "Tables".
function markCurrentLink() {
  const isOpen = /[?&]g_v=1/.test(location.hash);
  for (const link of document.querySelectorAll('.site-nav a[href^="index.html"]')) {
    if (link.hash.includes("g_v=1") === isOpen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
addEventListener("hashchange", followAddress);
addEventListener("DOMContentLoaded", () => {
  markCurrentLink();
  // The page begins below the bar, which has several rows on a narrow screen.
  const bar = document.querySelector("body > .site-nav"), style = document.documentElement.style;
  if (bar) new ResizeObserver(() => style.setProperty("--bar", `${bar.offsetHeight}px`)).observe(bar);
});

// On a narrow screen the list of tables is above the page, closed until its button is pressed.
function toggleMenu(open) {
  document.querySelector(".app-menu").classList.toggle("is-open", open);
  const button = document.querySelector(".menu-button");
  button.setAttribute("aria-expanded", String(button.parentElement.matches(".is-open")));
}
addEventListener("hashchange", () => document.querySelector(".app-menu.is-open") && toggleMenu(false));
// Airflow also shows the page in a frame of its own, where the links of the bar lead nowhere.
if (self !== top) document.documentElement.classList.add("framed");
