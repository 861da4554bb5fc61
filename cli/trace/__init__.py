"""One customer from the workbook's cell to the score, read-only."""
