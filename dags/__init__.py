"""Schedule the pipeline with Airflow."""
