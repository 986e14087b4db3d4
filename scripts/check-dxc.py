"""check-dxc.py LIBRARY DIR: compiles every FILE.ENTRY.hlsl of DIR as wgpu would on Windows, by DirectX's compiler.

LIBRARY is libdxcompiler.so. Its interfaces are those of COM; on Linux their tables have two destructors after the
first three functions.
"""

import concurrent.futures
import ctypes
import os
import pathlib
import sys
import threading
import time
import uuid

COMPILER_CLASS = "73e22d93-e6ce-47f3-b5bf-f0664f39c1b0"
COMPILER = "228b4687-5a6a-4730-900c-9702b2203f54"
RESULT = "58346cda-dde7-4497-9461-6f87af5e0659"
UTF8 = 65001

# Indices of functions in the tables of their interfaces.
RELEASE, COMPILE, STATUS, OBJECT, ERRORS, POINTER, LENGTH = 2, 5, 5, 6, 7, 5, 6


class Source(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("bytes", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


def identifier(text):
    return ctypes.create_string_buffer(uuid.UUID(text).bytes_le, 16)


def call(interface, index, *arguments, returns=ctypes.c_int32):
    table = ctypes.cast(ctypes.cast(interface, ctypes.POINTER(ctypes.c_void_p))[0], ctypes.POINTER(ctypes.c_void_p))
    kinds = [ctypes.c_uint32 if isinstance(argument, int) else ctypes.c_void_p for argument in arguments]
    cast = [a if isinstance(a, (int, ctypes.c_void_p)) else ctypes.cast(a, ctypes.c_void_p) for a in arguments]
    return ctypes.CFUNCTYPE(returns, ctypes.c_void_p, *kinds)(table[index])(interface, *cast)


def bytes_of(blob):
    pointer, length = call(blob, POINTER, returns=ctypes.c_void_p), call(blob, LENGTH, returns=ctypes.c_size_t)
    return ctypes.string_at(pointer, length)


def compile_kernel(compiler, source, entry):
    """The compiled kernel's size in bytes, and the compiler's message if it refuses the source."""
    options = ["kernel.hlsl", "-E", entry, "-T", "cs_6_0", "-HV", "2018", "-no-warnings", "-O3"]
    words = (ctypes.c_wchar_p * len(options))(*options)
    given, result = Source(source, len(source), UTF8), ctypes.c_void_p()
    code = call(compiler, COMPILE, ctypes.pointer(given), words, len(options), ctypes.c_void_p(), identifier(RESULT),
                ctypes.pointer(result))
    if code != 0:
        return 0, f"the call failed ({code & 0xFFFFFFFF:#x})"
    status, blobs = ctypes.c_int32(), [ctypes.c_void_p(), ctypes.c_void_p()]
    call(result, STATUS, ctypes.pointer(status))
    for index, blob in zip((OBJECT, ERRORS), blobs):
        call(result, index, ctypes.pointer(blob))
    compiled, errors = (bytes_of(blob) if blob else b"" for blob in blobs)
    for interface in (*blobs, result):
        if interface:
            call(interface, RELEASE, returns=ctypes.c_uint32)
    return len(compiled), None if status.value == 0 else errors.decode(errors="replace") or "no reason"


def main(library, directory):
    create, local = ctypes.CDLL(library).DxcCreateInstance, threading.local()

    def compile_file(file):
        """Compiles with a compiler of this thread. Returns seconds, bytes, and a message or None."""
        if not hasattr(local, "compiler"):
            local.compiler = ctypes.c_void_p()
            if create(identifier(COMPILER_CLASS), identifier(COMPILER), ctypes.byref(local.compiler)) != 0:
                sys.exit(f"check-dxc: {library} creates no compiler")
        start, (_, entry, _) = time.monotonic(), file.name.split(".")
        size, message = compile_kernel(local.compiler, file.read_bytes(), entry)
        return time.monotonic() - start, size, message

    # A compiler that accepts everything would prove nothing.
    broken = pathlib.Path(directory, "broken.main.hlsl")
    broken.write_text("[numthreads(1, 1, 1)] void main() { missing(); }")
    if compile_file(broken)[2] is None:
        sys.exit("check-dxc: an invalid kernel was compiled")
    broken.unlink()
    files = sorted(pathlib.Path(directory).glob("*.hlsl"))
    if not files:
        sys.exit(f"check-dxc: no kernels in {directory}")
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(compile_file, files))
    refused = [(file.name, message) for file, (_, _, message) in zip(files, results) if message is not None]
    for name, message in refused:
        print(f"check-dxc: {name}: {message[:400]}", file=sys.stderr)
    slowest, largest = (max((result[i], file.name) for file, result in zip(files, results)) for i in (0, 1))
    print(f"check-dxc: {len(files) - len(refused)} of {len(files)} kernels compiled in {time.monotonic() - began:.0f} s; "
          f"the slowest, {slowest[1]}, in {slowest[0]:.1f} s; the largest, {largest[1]}, to {largest[0]} bytes")
    sys.exit(1 if refused else 0)


main(*sys.argv[1:])
