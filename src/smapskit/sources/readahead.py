"""Read a file ahead of its consumer, in a thread that does not hold the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

CHUNK_SIZE: Final = 1 << 20
"""Bytes per read."""

_MAX_AHEAD: Final = 4
"""Chunks that wait for the consumer at most: a slow one must not fill memory with text."""


class _Stream:
    """A duplicate of a descriptor, read a megabyte at a time by fread(3) of the C library."""

    def __init__(self, descriptor: int) -> None:
        import ctypes  # noqa: PLC0415  only for large processes

        self._ctypes = ctypes
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.fdopen.restype = ctypes.c_void_p
        self._libc.fread.restype = ctypes.c_size_t
        self._is_at_end = False
        duplicate = os.dup(descriptor)
        self._file = ctypes.c_void_p(self._libc.fdopen(duplicate, b"rb"))
        if not self._file:
            number = ctypes.get_errno()
            os.close(duplicate)
            raise OSError(number, os.strerror(number))
        self._buffer = ctypes.create_string_buffer(CHUNK_SIZE)

    def read(self) -> bytes:
        """Return the next megabyte, less only at the end of the file, then nothing."""
        if self._is_at_end:
            return b""
        one, count = self._ctypes.c_size_t(1), self._ctypes.c_size_t(CHUNK_SIZE)
        self._ctypes.set_errno(0)
        size = self._libc.fread(self._buffer, one, count, self._file)
        if self._libc.ferror(self._file):
            number = self._ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._is_at_end = size < CHUNK_SIZE
        return self._buffer.raw[:size]

    def close(self) -> None:
        """Close the duplicate."""
        self._libc.fclose(self._file)


def read_ahead(descriptor: int, first: bytes) -> Iterator[bytes]:
    """
    Yield the first chunk, then the rest of a file, which a thread reads through the C library.

    The kernel returns 4 KiB per read, after each of which a Python thread would wait for the
    global interpreter lock: 40,000 mappings took 38 s while another thread was busy. They take
    0.3 s by fread(3), which reads a megabyte before it returns.

    If no thread can be started, the file is read without one.
    """
    from queue import SimpleQueue  # noqa: PLC0415  only for large processes
    from threading import Semaphore, Thread  # noqa: PLC0415

    stream = _Stream(descriptor)
    queue: SimpleQueue[bytes | BaseException] = SimpleQueue()
    free = Semaphore(_MAX_AHEAD)
    is_wanted = True

    def fill() -> None:
        try:
            while free.acquire() and is_wanted and (chunk := stream.read()):
                queue.put(chunk)
            queue.put(b"")
        except BaseException as error:  # noqa: BLE001  raised in the consumer
            queue.put(error)
        finally:
            stream.close()

    def next_chunk() -> bytes:
        chunk = queue.get()
        free.release()
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    thread = Thread(target=fill, daemon=True)
    read: Callable[[], bytes] = next_chunk
    end: Callable[[], object] = thread.join
    try:
        thread.start()
    except RuntimeError:  # a limit on threads was reached
        read, end = stream.read, stream.close
    try:
        yield first
        while chunk := read():
            yield chunk
    finally:
        is_wanted = False
        free.release()  # the thread may be waiting for a free place
        end()
