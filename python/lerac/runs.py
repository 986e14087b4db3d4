"""Runs and comparisons as pandas DataFrames."""

import json
from pathlib import Path


def _table(path):
    import pandas

    return pandas.read_csv(path)


class Run:
    """The directory of a run of `lerac train`."""

    def __init__(self, path):
        self.path = Path(path)
        if not (self.path / "config.toml").is_file():
            raise FileNotFoundError(f"{self.path} contains no run: there is no config.toml in it")

    def __repr__(self):
        return f"Run({str(self.path)!r})"

    @property
    def is_finished(self):
        """Whether the run has ended: then there are a summary, predictions and weights."""
        return (self.path / "summary.json").is_file()

    @property
    def summary(self):
        """The result, a dictionary: scores, best epoch, steps, time, memory."""
        return json.loads((self.path / "summary.json").read_text(encoding="utf-8"))

    @property
    def metrics(self):
        """Loss and measures over time; the column `kind` is `interval` or `epoch`."""
        return _table(self.path / "metrics.csv")

    @property
    def layers(self):
        """Learning rate and norms of each layer over time."""
        return _table(self.path / "layers.csv")

    @property
    def speed(self):
        """Examples per second of each interval."""
        return _table(self.path / "speed.csv")

    @property
    def predictions(self):
        """The prediction for each test example."""
        return _table(self.path / "predictions.csv")

    @property
    def weights(self):
        """The weights of the best epoch: arrays by name."""
        from .weights import read_safetensors

        return read_safetensors(self.path / "model.safetensors")


class Comparison:
    """The directory of `lerac compare`."""

    def __init__(self, path):
        self.path = Path(path)
        if not (self.path / "compare.toml").is_file():
            raise FileNotFoundError(f"{self.path} contains no comparison: there is no compare.toml in it")

    def __repr__(self):
        return f"Comparison({str(self.path)!r})"

    @property
    def results(self):
        """A row per finished run: method, seed, scores, time per step."""
        return _table(self.path / "results.csv")

    @property
    def summary(self):
        """The comparison, a dictionary: measure, methods, differences, p values."""
        return json.loads((self.path / "compare.json").read_text(encoding="utf-8"))

    @property
    def methods(self):
        """A row per method: test score, standard deviation, difference from the baseline, p value."""
        import pandas

        keep = ["arm", "test_score", "test_score_sd", "milliseconds_per_step", "relative_time", "corrected_p"]
        rows = []
        for arm in self.summary["arms"]:
            against = arm["against_baseline"] or {}
            rows.append({key: arm[key] for key in keep} | {key: against.get(key) for key in ["mean", "interval", "p"]})
        table = pandas.DataFrame(rows).rename(columns={"arm": "method", "mean": "difference"})
        return table.set_index("method")

    @property
    def runs(self):
        """The runs by the names of their directories, finished or not."""
        found = sorted(path.parent for path in self.path.glob("*/config.toml"))
        return {path.name: Run(path) for path in found}

    @property
    def metrics(self):
        """The metrics of all runs, with a column `run`."""
        import pandas

        return pandas.concat([run.metrics.assign(run=name) for name, run in self.runs.items()], ignore_index=True)
