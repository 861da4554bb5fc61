"""Generate realistic monthly workbooks of a fictional telecom: the same seed, the same bytes.

`simulate` yields the months as data frames, `write_samples` writes each as a workbook.
"""

from seeds_loader.sample.data_faults import RowFault
from seeds_loader.sample.months import Month, simulate
from seeds_loader.sample.parameters import SampleParameters
from seeds_loader.sample.write import write_samples

__all__ = ["Month", "RowFault", "SampleParameters", "simulate", "write_samples"]
