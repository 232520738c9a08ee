"""A reconstruction, its errors and how it came about, in one file that opens in any browser."""

from ._comparison import write_comparison
from ._write import write_report

__all__ = ["write_comparison", "write_report"]
