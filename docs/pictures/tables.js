// Tab stops at a table only if there is something to scroll.
const watched = new ResizeObserver(entries => {
  for (const {target} of entries) {
    target.tabIndex = target.scrollWidth > target.clientWidth ? 0 : -1;
  }
});
document.querySelectorAll(".table[role=region]").forEach(region => watched.observe(region));
