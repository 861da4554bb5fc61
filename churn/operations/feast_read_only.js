// Hides what would change the registry or read customers' data: this site serves declarations alone.
const changes = /^(Create|Edit|Delete|Register|Compute|Generate|Add to) ?/;
const hide = () => {
  for (const each of document.querySelectorAll("button, a.euiButton, a.euiButtonEmpty")) {
    if (changes.test(each.textContent.trim())) each.style.display = "none";
  }
};
new MutationObserver(hide).observe(document.documentElement, { childList: true, subtree: true });
