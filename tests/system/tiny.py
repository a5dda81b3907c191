# SPDX-License-Identifier: Apache-2.0
"""tiny: PVH kernels of a few instructions, for tests that need a guest but no operating system.

Each starts in 32-bit protected mode and uses the serial port by polling, so it is up in
milliseconds. `write(path, *parts)` joins parts into an ELF file.
"""
import struct

COM1, RESET, PM1_CNT, DEBUG_EXIT, PVPANIC = 0x3f8, 0xcf9, 0x604, 0x501, 0x505
BASE = 0x200000


def out8(port, value):
    return b"\x66\xba" + struct.pack("<H", port) + b"\xb0" + bytes([value]) + b"\xee"


def say(text):
    return b"".join(out8(COM1, c) for c in text.encode())


def poweroff():
    return b"\x66\xba" + struct.pack("<H", PM1_CNT) + b"\x66\xb8\x00\x3c\x66\xef" + stop()


def reset():
    return out8(RESET, 6) + stop()


def panic():
    return out8(PVPANIC, 1) + stop()


def debug_exit(value):
    return out8(DEBUG_EXIT, value) + stop()


def triple_fault():
    """An IDT without entries, then an interrupt."""
    return b"\x6a\x00\x6a\x00\x0f\x01\x1c\x24\xcc"


def stop():
    """HLT for ever, deaf to everything."""
    return b"\xfa\xf4\xeb\xfc"


def wait_for(byte):
    """Polls the serial port until it has read this byte, dropping others."""
    return (b"\x66\xba" + struct.pack("<H", COM1 + 5) + b"\xec\xa8\x01\x74\xf7"
            b"\x66\xba" + struct.pack("<H", COM1) + b"\xec\x3c" + bytes([byte]) + b"\x75\xec")


def echo():
    """Serial input goes back out, for ever."""
    return (b"\x66\xba" + struct.pack("<H", COM1 + 5) + b"\xec\xa8\x01\x74\xf7"
            b"\x66\xba" + struct.pack("<H", COM1) + b"\xec\xee\xeb\xef")


def flood(byte):
    """Writes one byte for ever."""
    return b"\x66\xba" + struct.pack("<H", COM1) + b"\xb0" + bytes([byte]) + b"\xee\xeb\xfd"


def elf(code, machine=62):
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", BASE)
    head = 64 + 2 * 56
    at = head + len(note)
    at += -at % 16
    ehdr = (b"\x7fELF\x02\x01\x01" + bytes(9) +
            struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, BASE, 64, 0, 0, 64, 56, 2, 0, 0, 0))
    load = struct.pack("<IIQQQQQQ", 1, 7, at, BASE, BASE, len(code), len(code) + 4096, 16)
    notes = struct.pack("<IIQQQQQQ", 4, 4, head, 0, 0, len(note), len(note), 4)
    data = ehdr + load + notes + note
    return data + bytes(at - len(data)) + code


def write(path, *parts, **kw):
    with open(path, "wb") as f:
        f.write(elf(b"".join(parts), **kw))
    return path
