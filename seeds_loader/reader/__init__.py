"""Read a workbook or CSV file as text cells, in a bounded process of its own."""
