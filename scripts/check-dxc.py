"""check-dxc.py LIBRARY DIR: compiles every FILE.ENTRY.hlsl of DIR as wgpu would on Windows, by DirectX's compiler for Linux.

LIBRARY is libdxcompiler.so. Its interfaces are those of COM; on Linux their tables hold two destructors behind the first three functions.
"""

import ctypes
import pathlib
import sys
import time
import uuid

COMPILER_CLASS = "73e22d93-e6ce-47f3-b5bf-f0664f39c1b0"
COMPILER = "228b4687-5a6a-4730-900c-9702b2203f54"
RESULT = "58346cda-dde7-4497-9461-6f87af5e0659"
UTF8 = 65001

# Places of functions in the tables of their interfaces.
RELEASE, COMPILE, STATUS, ERRORS, POINTER, LENGTH = 2, 5, 5, 7, 5, 6


class Source(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("bytes", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


def identifier(text):
    return ctypes.create_string_buffer(uuid.UUID(text).bytes_le, 16)


def call(interface, place, *arguments, returns=ctypes.c_int32):
    table = ctypes.cast(ctypes.cast(interface, ctypes.POINTER(ctypes.c_void_p))[0], ctypes.POINTER(ctypes.c_void_p))
    kinds = [ctypes.c_uint32 if isinstance(argument, int) else ctypes.c_void_p for argument in arguments]
    cast = [a if isinstance(a, (int, ctypes.c_void_p)) else ctypes.cast(a, ctypes.c_void_p) for a in arguments]
    return ctypes.CFUNCTYPE(returns, ctypes.c_void_p, *kinds)(table[place])(interface, *cast)


def text_of(blob):
    pointer, length = call(blob, POINTER, returns=ctypes.c_void_p), call(blob, LENGTH, returns=ctypes.c_size_t)
    return ctypes.string_at(pointer, length).decode(errors="replace")


def fault(compiler, source, entry):
    """What the compiler says of a source that it refuses; None where it compiles it."""
    options = ["kernel.hlsl", "-E", entry, "-T", "cs_6_0", "-HV", "2018", "-no-warnings", "-O3"]
    words = (ctypes.c_wchar_p * len(options))(*options)
    given = Source(source, len(source), UTF8)
    result = ctypes.c_void_p()
    code = call(compiler, COMPILE, ctypes.pointer(given), words, len(options), ctypes.c_void_p(), identifier(RESULT), ctypes.pointer(result))
    if code != 0:
        return f"the call failed ({code & 0xFFFFFFFF:#x})"
    status, errors = ctypes.c_int32(), ctypes.c_void_p()
    call(result, STATUS, ctypes.pointer(status))
    call(result, ERRORS, ctypes.pointer(errors))
    said = text_of(errors) if errors else ""
    for interface in (errors, result):
        if interface:
            call(interface, RELEASE, returns=ctypes.c_uint32)
    return None if status.value == 0 else said or "no reason"


def main(library, directory):
    compiler = ctypes.c_void_p()
    create = ctypes.CDLL(library).DxcCreateInstance
    if create(identifier(COMPILER_CLASS), identifier(COMPILER), ctypes.byref(compiler)) != 0:
        sys.exit(f"check-dxc: {library} makes no compiler")
    # A compiler that takes anything would prove nothing.
    if fault(compiler, b"[numthreads(1, 1, 1)] void main() { missing(); }", "main") is None:
        sys.exit("check-dxc: a kernel with a fault was compiled")
    files = sorted(pathlib.Path(directory).glob("*.hlsl"))
    if not files:
        sys.exit(f"check-dxc: no kernels in {directory}")
    began, longest, refused = time.monotonic(), (0.0, ""), 0
    for file in files:
        start = time.monotonic()
        told = fault(compiler, file.read_bytes(), file.name.split(".")[1])
        longest = max(longest, (time.monotonic() - start, file.name))
        if told is not None:
            refused += 1
            print(f"check-dxc: {file.name}: {told[:400]}", file=sys.stderr)
    print(f"check-dxc: {len(files) - refused} of {len(files)} kernels compiled in {time.monotonic() - began:.0f} s; "
          f"{longest[1]} took longest, {longest[0]:.1f} s")
    sys.exit(refused != 0)


main(*sys.argv[1:])
