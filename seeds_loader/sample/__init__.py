"""Realistic monthly workbooks of a fictional telecom, seeded: the same seed, the same bytes.

`simulate` makes the months as frames, `write_samples` writes each as a workbook.
"""

from seeds_loader.sample.data_faults import Dirt
from seeds_loader.sample.months import Month, simulate
from seeds_loader.sample.parameters import SampleParameters
from seeds_loader.sample.write import write_samples

__all__ = ["Dirt", "Month", "SampleParameters", "simulate", "write_samples"]
