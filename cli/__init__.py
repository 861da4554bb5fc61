"""The command line: `main.py` has the commands, `job.py` the whole job as a chain of steps.

The rooms, in the order in which they may import each other, downwards:

`upkeep`      backup, restore, tidy
`airflow`     Airflow on this machine, and the job's steps as its tasks
`pages`       what people look at in a browser: report, front page, traces, and who serves them
`past`        history, differences between runs, a past run made again
`trace`       one customer, from the workbook's cell to the score
`workbooks`   what people get back as a workbook: rejects, the list

What lies beside this file serves them, or is one command alone.
"""
