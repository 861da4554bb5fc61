// Draw the lineage: all of it if its labels can be read, otherwise the part around its start.
const LABEL = 24, SMALLEST = 11;

function fitLineage(graph, view) {
  graph.resize();
  graph.fit(25);
  if (view?.size !== "fullscreen" || LABEL * graph.zoom() >= SMALLEST || graph.nodes().empty()) return;
  const selected = graph.nodes("[selected = 1]");
  const start = selected.nonempty()
    ? selected.first()
    : graph.nodes().roots().max((node) => node.successors().length).ele;
  graph.zoom(SMALLEST / LABEL);
  graph.center(start);
  const top = graph.elements().renderedBoundingBox().y1;
  if (top > 25) graph.panBy({ x: 0, y: 25 - top });
}

// On a narrow screen the list of tables is above the page, closed until its button is pressed.
function toggleMenu(open) {
  document.querySelector(".app-menu").classList.toggle("is-open", open);
  const button = document.querySelector(".menu-button");
  button.setAttribute("aria-expanded", String(button.parentElement.matches(".is-open")));
}
addEventListener("hashchange", () => document.querySelector(".app-menu.is-open") && toggleMenu(false));
// Airflow also shows the page in a frame of its own, where the links of the bar lead nowhere.
if (self !== top) document.documentElement.classList.add("framed");
