"""Reads the runs and comparisons of the program `lerac`, and converts weights of PyTorch.

    import lerac
    metrics = lerac.Run("out/run").metrics        # a pandas DataFrame
    results = lerac.Comparison("out/study").results
    lerac.convert("weights.pth", "weights.safetensors")
"""

from .runs import Comparison, Run
from .weights import convert, read_pth, read_safetensors, write_safetensors

__all__ = ["Comparison", "Run", "convert", "read_pth", "read_safetensors", "write_safetensors"]
