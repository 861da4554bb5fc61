"""Write what users read: HTML pages, the dbt docs site and workbooks."""
