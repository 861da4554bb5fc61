"""`churn sql` on a server: rows, formats, refusals and errors."""

import json

from environments import ChurnHome


def test_a_question_is_answered_and_nothing_is_written(shared_home: ChurnHome) -> None:
    answer = shared_home.churn("sql", "select id, null as b from range(100) order by id")
    assert answer.stdout.splitlines()[2].split() == ["0", "NULL"]
    assert "40 of 100 rows, 60 left out" in answer.stderr
    rows = json.loads(shared_home.churn("sql", "--json", "select id from range(100)").stdout)
    assert len(rows) == 100
    csv = shared_home.churn("sql", "--csv", "show schemas like 'def*'").stdout
    assert csv == "namespace\ndefault\n"
    wrong = "select\n  id,\n  nme\nfrom (select id, id as name from range(1))"
    said = shared_home.churn("sql", wrong, code=2).stderr
    assert "the statement, line 3:\n  3 | nme\n      ^^^\n" in said
    assert "Did you mean name?" in said
    assert "org.apache" not in said
    said = shared_home.churn("sql", "create schema written_by_sql", code=2).stderr
    assert "CREATE is not a query" in said
    assert shared_home.sql("show schemas like 'written_by_sql'") == []
