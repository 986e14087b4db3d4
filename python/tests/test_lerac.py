"""Tests of the Python module; `scripts/check-python.sh` runs them on an installed wheel.

    python3 -m unittest discover python/tests
"""

import os
import pickle
import tempfile
import unittest
from pathlib import Path

import lerac
import numpy

HERE = Path(__file__).parent


class Weights(unittest.TestCase):
    def test_a_state_dict_is_converted(self):
        # Written by PyTorch 2.15: a checkpoint with views, half precision and a parameter.
        tensors = lerac.read_pth(HERE / "small.pth")
        whole = numpy.arange(12, dtype="f4").reshape(3, 4)
        expected = {
            "conv.weight": whole,
            "conv.transposed": whole.T,
            "half": numpy.array([1.5, -2.0], "f2"),
            "bf": numpy.array([1.5, -2.0], "f4"),
            "count": numpy.array(7),
            "part": whole[1:, 2:],
            "parameter": numpy.ones(2, "f4"),
        }
        self.assertEqual(set(tensors), set(expected))
        with tempfile.TemporaryDirectory() as work:
            target = os.path.join(work, "small.safetensors")
            self.assertEqual(lerac.convert(HERE / "small.pth", target), len(expected))
            self.assertEqual(os.listdir(work), ["small.safetensors"])
            written = lerac.read_safetensors(target)
        for name, values in expected.items():
            for found in [tensors[name], written[name]]:
                self.assertEqual((found.shape, found.dtype), (values.shape, values.dtype), name)
                self.assertTrue((found == values).all(), name)

    def test_other_files_are_refused(self):
        with self.assertRaisesRegex(pickle.UnpicklingError, "state_dict"):
            lerac.read_pth(HERE / "whole-model.pth")
        with self.assertRaisesRegex(ValueError, "no file of torch.save"):
            lerac.read_pth(HERE / "test_lerac.py")


class Results(unittest.TestCase):
    """Needs the results that scripts/check-python.sh makes."""

    def setUp(self):
        if "LERAC_RESULTS" not in os.environ:
            self.skipTest("LERAC_RESULTS is not set")
        self.results = Path(os.environ["LERAC_RESULTS"])

    def test_a_run_is_read(self):
        run = lerac.Run(self.results / "run")
        self.assertTrue(run.is_finished)
        epochs = run.metrics[run.metrics.kind == "epoch"]
        self.assertEqual(len(epochs), 2)
        self.assertEqual(len(run.predictions), run.summary["test_examples"])
        right = (run.predictions.label == run.predictions.prediction).mean()
        self.assertAlmostEqual(right, run.summary["test_accuracy"])
        self.assertEqual(run.weights["linear.weight"].shape, (10, 64))
        self.assertEqual(set(run.layers.layer), {"conv1", "conv2", "conv3", "linear"})

    def test_a_comparison_is_read(self):
        comparison = lerac.Comparison(self.results / "study")
        self.assertEqual(list(comparison.results.method), ["conventional", "conventional", "lerac", "lerac"])
        scores = comparison.results.groupby("method").test_accuracy.mean()
        for method, row in comparison.methods.iterrows():
            self.assertAlmostEqual(row.test_score, scores[method])
        difference = comparison.methods.difference["lerac"]
        self.assertAlmostEqual(difference, scores["lerac"] - scores["conventional"])
        self.assertEqual(len(comparison.runs), 4)
        self.assertEqual(set(comparison.metrics.run), set(comparison.runs))

    def test_the_events_are_those_of_the_tables(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        run = lerac.Run(self.results / "run")
        events = EventAccumulator(str(self.results / "run" / "tensorboard"), size_guidance={"scalars": 0})
        events.Reload()
        for tag, kind, column in [
            ("loss/train", "interval", "train_loss"),
            ("accuracy/train", "interval", "train_accuracy"),
            ("loss/validation", "epoch", "validation_loss"),
        ]:
            rows = run.metrics[run.metrics.kind == kind]
            found = events.Scalars(tag)
            self.assertEqual([event.step for event in found], list(rows.step), tag)
            numpy.testing.assert_allclose([event.value for event in found], rows[column], rtol=1e-6)
        rates = run.layers[run.layers.layer == "conv1"].learning_rate
        found = events.Scalars("learning rate/conv1")
        numpy.testing.assert_allclose([event.value for event in found], rates, rtol=1e-6)

    def test_a_missing_run_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "no run"):
            lerac.Run(self.results)
        with self.assertRaisesRegex(FileNotFoundError, "no comparison"):
            lerac.Comparison(self.results / "run")


if __name__ == "__main__":
    unittest.main()
