"""Compares an ONNX file of `lerac export --sample` with onnxruntime: outputs and classes.

    python3 check-onnx.py MODEL.onnx SAMPLE.safetensors
"""

import sys

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

# Of the largest output: sums are in another order.
TOLERANCE = 1e-5


def main(model, sample):
    onnx.checker.check_model(model, full_check=True)
    tensors = load_file(sample)
    expected = tensors.pop("output")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = {given.name: tensors[given.name] for given in session.get_inputs()}
    (found,) = session.run(None, inputs)
    # Any number of examples.
    (first,) = session.run(None, {name: values[:1] for name, values in inputs.items()})
    error = np.abs(found - expected).max() / np.abs(expected).max()
    error = max(error, np.abs(first - expected[:1]).max() / np.abs(expected).max())
    classes = (found.argmax(1) == expected.argmax(1)).all()
    print(f"{model}: error {error:.1e} of the largest output, the same classes: {classes}")
    if not (error <= TOLERANCE and classes and np.ptp(expected) > 0):
        sys.exit(f"{model}: the error must be at most {TOLERANCE}, and the classes the same")


if __name__ == "__main__":
    main(*sys.argv[1:])
