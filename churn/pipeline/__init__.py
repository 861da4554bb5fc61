"""Run the pipeline from workbook to report: as a whole, step by step, and as Airflow tasks."""
