"""Airflow on this machine, and the steps of the job as its tasks call them."""
