"""Read a workbook or CSV file as text cells, in a separate process with bounded resources."""
