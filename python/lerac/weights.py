"""Weights of PyTorch (`.pth`, `.pt`) as safetensors. PyTorch is not needed, and no code in the file is run."""

import json
import os
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy

# The storages of PyTorch and the elements in them. bfloat16 is converted to float32.
_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}

_NAMES = {"f4": "F32", "f8": "F64", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8", "u1": "U8", "b1": "BOOL"}
_TYPES = {name: dtype for dtype, name in _NAMES.items()}


class _Storage:
    def __init__(self, kind):
        self.kind = kind


def _tensor(storage, offset, size, stride, *_):
    """`torch._utils._rebuild_tensor_v2`."""
    step = storage.itemsize
    last = offset + sum((extent - 1) * jump for extent, jump in zip(size, stride)) if all(size) else 0
    if offset < 0 or any(extent < 0 for extent in size) or any(jump < 0 for jump in stride) or last >= max(storage.size, 1):
        raise ValueError(f"a tensor of shape {tuple(size)} does not fit its storage of {storage.size} elements")
    view = numpy.lib.stride_tricks.as_strided(storage[offset:], size, [step * jump for jump in stride], writeable=False)
    return numpy.array(view)


def _parameter(data, *_):
    """`torch._utils._rebuild_parameter`."""
    return data


_ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _Unpickler(pickle.Unpickler):
    """Knows state dicts only: anything else in the file is refused."""

    def __init__(self, file, read):
        super().__init__(file)
        self._read = read

    def find_class(self, module, name):
        if module == "torch" and name in _STORAGES:
            return _Storage(_STORAGES[name])
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"the file contains {module}.{name}; only state dicts can be read: torch.save(model.state_dict(), ...)"
            ) from None

    def persistent_load(self, identifier):
        _, storage, key, _, count = identifier
        data = self._read(key)
        if storage.kind == "bfloat16":
            words = numpy.frombuffer(data, "<u2", count).astype("<u4") << 16
            return words.view("<f4")
        return numpy.frombuffer(data, storage.kind, count)


def _flat(value, prefix=""):
    """The arrays in nested dictionaries, with dots between the keys."""
    if isinstance(value, numpy.ndarray):
        return {prefix: value}
    if not isinstance(value, dict):
        return {}
    found = {}
    for key, inner in value.items():
        found.update(_flat(inner, f"{prefix}.{key}" if prefix else str(key)))
    return found


def read_pth(path):
    """The tensors in a file of `torch.save`, arrays by name. A checkpoint with one entry `state_dict` or `model`
    gives the tensors in it."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise ValueError(
            f"{path} is no file of torch.save, or one from before PyTorch 1.6; load it there and save it again"
        ) from None
    with archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"{path} is no file of torch.save: expected one data.pkl, found {len(pickles)}")
        root = pickles[0][: -len("data.pkl")]
        with archive.open(pickles[0]) as file:
            state = _Unpickler(file, lambda key: archive.read(f"{root}data/{key}")).load()
    for key in ["state_dict", "model"]:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    tensors = _flat(state)
    if not tensors:
        raise ValueError(f"{path} contains no tensors")
    return tensors


def read_safetensors(path):
    """The tensors in a safetensors file, arrays by name."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + length :]
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if entry["dtype"] not in _TYPES:
            raise ValueError(f"{path}: {name} has elements {entry['dtype']}, which numpy does not know")
        values = numpy.frombuffer(body[begin:end], _TYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    """Writes arrays by name as a safetensors file: whole, or not at all."""
    header, parts, end = {"__metadata__": {"format": "pt"}}, [], 0
    for name, values in tensors.items():
        values = numpy.asarray(values, order="C")
        kind = values.dtype.newbyteorder("<").str[1:]
        if kind not in _NAMES:
            raise ValueError(f"{name} has elements {values.dtype}, which safetensors does not know")
        parts.append(values.astype(values.dtype.newbyteorder("<")).tobytes())
        header[name] = {"dtype": _NAMES[kind], "shape": list(values.shape), "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    part = f"{os.fspath(path)}.part"
    with open(part, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(parts)
    os.replace(part, path)


def convert(source, target):
    """Converts a file of `torch.save` to safetensors. Returns the number of tensors."""
    tensors = read_pth(source)
    write_safetensors(target, tensors)
    return len(tensors)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m lerac.weights WEIGHTS.pth WEIGHTS.safetensors")
    print(f"{convert(*sys.argv[1:])} tensors in {sys.argv[2]}")
