"""Load customer workbooks into bronze, and generate sample workbooks."""
