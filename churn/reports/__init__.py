"""What people read: HTML pages, the dbt docs site and workbooks."""
