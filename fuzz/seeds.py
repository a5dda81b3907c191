#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""seeds.py [NAME...]: writes the hand-made seeds of fuzz/corpus; each is named seed-WHAT.

A seed says in a few lines what a well-behaved guest or user does; the fuzzer goes on from there.
Inputs that once broke something have other names and are left alone. The formats are those that the
head of each target tells.
"""
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def u8(v):
    return struct.pack('<B', v & 0xff)


def u16(v):
    return struct.pack('<H', v & 0xffff)


def u32(v):
    return struct.pack('<I', v & 0xffffffff)


def u64(v):
    return struct.pack('<Q', v & (1 << 64) - 1)


# --- virtqueue ------------------------------------------------------------------------------------

DESC, DRIVER, DEVICE, DATA, TABLE = 0x0000, 0x1000, 0x2000, 0x3000, 0x4000
NEXT, WRITE, INDIRECT, AVAIL, USED = 1, 2, 4, 0x80, 0x8000


def vq_start(flags, size):
    return u8(flags) + u16(size) + u16(DESC) + u16(DRIVER) + u16(DEVICE)


def vq_write(gpa, data):
    return u8(0) + u16(gpa) + u8(len(data)) + data


def vq_chain(index, flags, addr, length, nxt=0):
    return u8(1) + u8(index) + u16(flags) + u16(addr) + u16(length) + u8(nxt)


def desc(addr, length, flags, nxt):
    return u64(addr) + u32(length) + u16(flags) + u16(nxt)


POP, WANTS, OFF, ON, UNPOP = u8(2), u8(7), u8(8), u8(9), u8(10)


def push(written):
    return u8(4) + u16(written)


def use(off=0):
    return u8(5) + u16(off) + u8(6) + u16(off) + u32(0xffff)


def virtqueue():
    round_trip = POP + use() + use(10) + push(16) + WANTS
    for event in (0, 2):
        split = vq_start(4 | event, 8)
        for i in range(10):
            split += OFF + vq_chain(i % 8, WRITE if i & 1 else 0, DATA + i * 64, 40) + round_trip + ON
        yield f'split-{event}', split
        packed = vq_start(5 | event, 5)
        for i in range(12):
            wrap = AVAIL if i // 5 % 2 == 0 else USED
            packed += OFF + vq_chain(i % 5, wrap | (WRITE if i & 1 else 0), DATA, 40, i)
            packed += round_trip + ON
        yield f'packed-{event}', packed
    chain = vq_write(DESC + 16, desc(DATA + 99, 50, NEXT | WRITE, 2) + desc(0xa000, 64, WRITE, 0))
    yield 'split-chain', (vq_start(4, 4) + chain + vq_chain(0, NEXT, DATA, 16, 1) + round_trip +
                          vq_chain(0, NEXT, 0x8000, 16, 1) + POP + UNPOP + round_trip)
    table = desc(DATA, 16, NEXT, 1) + desc(DATA + 32, 16, NEXT | WRITE, 2) + desc(DATA, 1, WRITE, 0)
    yield 'split-indirect', (vq_start(4, 4) + vq_write(TABLE, table) +
                             vq_chain(0, INDIRECT, TABLE, len(table)) + round_trip)
    table = desc(DATA, 16, 0, 0) + desc(DATA + 32, 16, 0, WRITE)
    yield 'packed-indirect', (vq_start(5, 4) + vq_write(TABLE, table) +
                              vq_chain(0, INDIRECT | AVAIL, TABLE, len(table)) + round_trip)
    yield 'packed-chain', (vq_start(7, 3) +
                           vq_write(DESC + 16, desc(DATA, 9, 5, AVAIL | WRITE | NEXT)) +
                           vq_write(DESC + 32, desc(DATA, 9, 5, AVAIL | WRITE)) +
                           vq_chain(0, AVAIL | NEXT, DATA, 16, 1) + round_trip + POP + UNPOP)
    yield 'loop', (vq_start(4, 4) + vq_chain(0, NEXT, DATA, 1, 0) + POP + u8(11) + vq_start(4, 2) +
                   POP)
    yield 'restart', vq_start(12, 3) + vq_chain(1, WRITE, DATA, 8) + POP + u8(11) + vq_start(28, 4)


# --- kernel ---------------------------------------------------------------------------------------

def kernel_head(ram=2, cpus=1, initrd=0, cmdline=20):
    return u8(ram) + u8(cpus) + u32(initrd) + u16(cmdline)


def bzimage(version=0x20f, xload=1, pref=0x1000000, init=0x100000, align=0x200000, top=0x7fffffff):
    image = bytearray(0x400 + 0x40)
    image[0x1f1] = 1                                    # setup_sects
    struct.pack_into('<I', image, 0x1f4, 0x40 // 16)    # syssize
    struct.pack_into('<H', image, 0x1fe, 0xaa55)
    image[0x200:0x202] = b'\xeb\x6a'
    image[0x202:0x206] = b'HdrS'
    struct.pack_into('<H', image, 0x206, version)
    image[0x211] = 1                                    # LOADED_HIGH
    struct.pack_into('<I', image, 0x22c, top)
    struct.pack_into('<I', image, 0x230, align)
    image[0x234] = 1
    struct.pack_into('<H', image, 0x236, xload)
    struct.pack_into('<I', image, 0x238, 2047)
    struct.pack_into('<Q', image, 0x258, pref)
    struct.pack_into('<I', image, 0x260, init)
    return bytes(image)


def note(entry, size=4):
    return u32(4) + u32(size) + u32(18) + b'Xen\0' + entry.to_bytes(size, 'little')


def elf64(paddr=0x200000, memsz=0x3000, entry=0x200040, machine=62, data=1, kind=2):
    body = note(entry)
    head = b'\x7fELF' + bytes([2, data, 1]) + bytes(9) + u16(kind) + u16(machine) + u32(1)
    head += u64(entry) + u64(64) + u64(0) + u32(0) + u16(64) + u16(56) + u16(2) + u16(0) * 3
    load = u32(1) + u32(7) + u64(64 + 112 + len(body)) + u64(0) + u64(paddr) + u64(32) + u64(memsz)
    load += u64(4096)
    at = u32(4) + u32(4) + u64(64 + 112) + u64(0) * 2 + u64(len(body)) * 2 + u64(4)
    return head + load + at + body + b'\x90' * 32


def elf32():
    body = note(0x200040)
    head = b'\x7fELF' + bytes([1, 1, 1]) + bytes(9) + u16(2) + u16(3) + u32(1)
    head += u32(0x200040) + u32(52) + u32(0) + u32(0) + u16(52) + u16(32) + u16(2) + u16(0) * 3
    load = u32(1) + u32(52 + 64 + len(body)) + u32(0) + u32(0x200000) + u32(32) + u32(0x3000)
    load += u32(7) + u32(4096)
    at = u32(4) + u32(52 + 64) + u32(0) * 2 + u32(len(body)) * 2 + u32(4) + u32(4)
    return head + load + at + body + b'\x90' * 32


FOREIGN = {
    'gzip': b'\x1f\x8b\x08', 'xz': b'\xfd7zXZ\0', 'zstd': b'\x28\xb5\x2f\xfd', 'bzip2': b'BZh9',
    'lz4': b'\x02\x21\x4c\x18', 'cpio': b'070701', 'qcow2': b'QFI\xfb', 'vmdk': b'KDMV',
    'vhdx': b'vhdxfile', 'deb': b'!<arch>\n', 'rpm': b'\xed\xab\xee\xdb', 'script': b'#!/bin/sh\n',
    'efi': b'MZ' + bytes(0x36) + b'PE\0\0', 'arm64': b'MZ' + bytes(0x36) + b'ARM\x64',
    'riscv': bytes(0x38) + b'RSC\x05', 'disk': bytes(0x1fe) + b'\x55\xaa',
}


def kernel():
    yield 'bzimage', kernel_head() + bzimage()
    yield 'bzimage-initrd', kernel_head(initrd=0x12345) + bzimage()
    yield 'bzimage-small', kernel_head(ram=0, initrd=0x3ffff) + bzimage(pref=0x400000, init=0x800000)
    yield 'bzimage-high', kernel_head(ram=5) + bzimage(pref=0x7f000000)
    yield 'bzimage-no-room', kernel_head(ram=0) + bzimage()
    yield 'bzimage-low-initrd', kernel_head(initrd=100) + bzimage(top=0xffffff)
    yield 'bzimage-cmdline', kernel_head(cmdline=2048) + bzimage()
    yield 'bzimage-old', kernel_head() + bzimage(version=0x206)
    yield 'bzimage-32', kernel_head() + bzimage(xload=0)
    yield 'bzimage-align', kernel_head() + bzimage(align=0x201000)
    yield 'bzimage-cut', kernel_head() + bzimage()[:0x410]
    yield 'elf64', kernel_head() + elf64()
    yield 'elf64-initrd', kernel_head(ram=3, cpus=63, initrd=5000) + elf64(kind=3)
    yield 'elf64-big', kernel_head() + elf64(memsz=0x70000000)
    yield 'elf64-low', kernel_head() + elf64(paddr=0x1000)
    yield 'elf64-arm', kernel_head() + elf64(machine=183)
    yield 'elf64-module', kernel_head() + elf64(kind=1)
    yield 'elf32', kernel_head() + elf32()
    yield 'empty', kernel_head()
    for name, magic in FOREIGN.items():
        yield name, kernel_head() + magic + bytes(8)


# --- config ---------------------------------------------------------------------------------------

FILES = {
    'all': '''# a machine
name: web
machine: holm-1
cpu: v3-1
cpus: 4
memory: 2G
engine: soft
kernel: vmlinuz
initrd: /boot/initrd.img
append: quiet root=/dev/vda1
disks:
  - root.raw
  - a,b.raw,ro,serial=X1
  - file: data.raw
    readonly: true
    serial: "42"
console: unix:web.sock
console-device: virtio
no-reboot: true
''',
    'flow': '{kernel: k, memory: 512M, disks: [a, {file: b, readonly: false}], console: none}\n',
    'cmdline': 'kernel: "k"\ncmdline: |\n  console=ttyS0\n  panic=1\ncpus: 64\nmemory: 16M\n',
    'unknown': 'kernel: k\nkernle: x\n',
    'twice': 'kernel: k\nkernel: l\n',
    'anchor': 'kernel: &a k\ninitrd: *a\n',
    'documents': '---\nkernel: k\n---\nkernel: l\n',
    'tag': 'kernel: !!str k\ncpus: !!int "4"\n',
    'types': 'kernel: [k]\ndisks: x\nno-reboot: maybe\n',
    'tabs': 'kernel:\tk\n\tmemory: 1G\n',
    'utf16': '\ufeffkernel: k\n',
    'memory': 'kernel: k\nmemory: 18446744073709551615K\n',
    'deep': 'kernel: ' + '[' * 60 + ']' * 60 + '\n',
    'empty': '',
}

LINES = {
    'run': 'run --kernel k --initrd=i -c4 -m 2G --disk d.raw,ro --disk e,serial=S --append a '
           '--append b --console none --no-reboot --no-jail --json=out -vv --cpu v3-1',
    'run-file': 'run -f none.yaml -m 512M --console file:log --console-device serial',
    'run-name': 'run web --name x --machine holm-1 --engine soft,x=1',
    'run-help': 'run --help',
    'end': 'run --kernel=k -- -x y',
    'doctor': 'doctor --json',
    'version': '--version',
    'help': 'help run',
    'bad': 'run -m2T -c0 --kernel= --bogus -',
}


def config():
    for name, text in FILES.items():
        encoding = 'utf-16-le' if name == 'utf16' else 'utf-8'
        yield f'file-{name}', u8(0) + text.encode(encoding)
    for name, text in LINES.items():
        yield f'line-{name}', u8(1) + '\n'.join(text.split()).encode()


# --- all ------------------------------------------------------------------------------------------

TARGETS = {f.__name__: f for f in (virtqueue, kernel, config)}


def main():
    for name in sys.argv[1:] or TARGETS:
        folder = os.path.join(HERE, 'corpus', name)
        os.makedirs(folder, exist_ok=True)
        for old in os.listdir(folder):
            if old.startswith('seed-'):
                os.unlink(os.path.join(folder, old))
        for what, data in TARGETS[name]():
            with open(os.path.join(folder, 'seed-' + what), 'wb') as f:
                f.write(data)


if __name__ == '__main__':
    main()
