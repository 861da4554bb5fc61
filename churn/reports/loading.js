// A trace takes some seconds. Say so, and prevent a second request, until its page arrives.
for (const form of document.querySelectorAll("form[data-loading]")) {
  const [button] = form.getElementsByTagName("button");
  const [status] = form.querySelectorAll("[role=status]");
  const show = (text) => { status.textContent = text; button.disabled = text !== ""; };
  form.addEventListener("submit", () => show(form.dataset.loading));
  // The browser's way back shows the page as it was left.
  addEventListener("pageshow", () => show(""));
}
