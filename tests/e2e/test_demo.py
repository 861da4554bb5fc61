"""`churn demo`: the whole job on generated customers, beside the home of the settings."""

from environments import Environments
from openpyxl import load_workbook

from lakehouse.sample_home import NOTE, TITLE


def test_the_demo_is_run_beside_the_home_and_marked(environments: Environments) -> None:
    home = environments.new("beside")
    demo = home.path.with_name(f"{home.path.name}-demo")
    try:
        said = home.churn("demo").stdout
        assert NOTE in said and f"report: {demo}" in said
        (line,) = (line for line in said.splitlines() if line.startswith("try: "))
        assert line.startswith("try: churn --demo show ")
        shown = home.churn("--demo", "show", line.split()[-1])
        assert "probability" in shown.stdout
        # The home of the settings is untouched.
        assert not (home.path / "lake").exists()
        (run,) = (demo / "runs").iterdir()
        assert NOTE in (run / "report.html").read_text()
        assert NOTE in (demo / "site" / "index.html").read_text()
        title = load_workbook(run / "retention_list.xlsx")["Summary"]["A1"].value
        assert str(title).startswith(TITLE)
    finally:
        home.churn("--demo", "down")
