// Runs in the head of MLflow's page, before MLflow's own scripts read what the browser remembers.
{
  const { experiment, start, columns } = VALUES;
  // MLflow's assistant is not served here: it stays closed, also where it was opened before.
  const settings = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": true,
    "mlflow.assistant.panelOpen_v1": false,
  };
  // First values only: what a person chooses later stays.
  const defaults = {
    "mlflow.workflowType_v1": "machine_learning",
    "_mlflow_model_registry_promo_modal_dismissed_v1": true,
    [`MLflowLocalStorage-1.1-ExperimentPage-["${experiment}"]-ReactComponentState`]: {
      selectedColumns: columns,
    },
  };
  for (const [name, value] of Object.entries(settings)) {
    localStorage.setItem(name, JSON.stringify(value));
  }
  for (const [name, value] of Object.entries(defaults)) {
    if (localStorage.getItem(name) === null) localStorage.setItem(name, JSON.stringify(value));
  }
  if (!/^#\/./.test(location.hash)) location.replace(start);
  // Runs and versions come from training alone.
  const creates = /^(New run|Create Model)$/;
  const hide = () => {
    for (const each of document.querySelectorAll("button")) {
      // The style of MLflow's buttons is marked as important, too.
      if (creates.test(each.textContent.trim())) {
        each.style.setProperty("display", "none", "important");
      }
    }
  };
  new MutationObserver(hide).observe(document.documentElement, { childList: true, subtree: true });
}
