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


# --- board ----------------------------------------------------------------------------------------

PORTS = [0x20, 0xa0, 0x4d0, 0x40, 0x61, 0x60, 0x70, 0x92, 0xb2, 0x3f8, 0x2f8, 0x501, 0x505, 0x510,
         0x600, 0x620, 0xcf8, 0xcfc, 0xcf9, 0x80]
SIZES = {1: 0, 2: 1, 4: 2, 8: 3}


def port_at(port):
    group = max(range(len(PORTS)), key=lambda i: (PORTS[i] <= port, PORTS[i]))
    return u8(group) + u8(port - PORTS[group])


def out(port, value, size=1):
    return u8(SIZES[size] << 4) + port_at(port) + value.to_bytes(size, 'little')


def inp(port, size=1):
    return u8(SIZES[size] << 4 | 4) + port_at(port)


def mmio_write(group, off, value, size=4):
    return u8(SIZES[size] << 4 | 6) + u8(group) + u16(off) + value.to_bytes(size, 'little')


def mmio_read(group, off, size=4):
    return u8(SIZES[size] << 4 | 9) + u8(group) + u16(off)


def wait(ns):
    shift = 0
    while ns >> shift * 2 > 0xffff:
        shift += 1
    return u8(shift << 4 | 12) + u16(ns >> shift * 2)


def memory(gpa, data):
    return u8(14) + u16(gpa) + u8(len(data)) + data


IOAPIC, HPET = 0, 1
MS = 1000000


def ioapic(pin, low, high=0):
    return (mmio_write(IOAPIC, 0, 0x10 + pin * 2) + mmio_write(IOAPIC, 0x10, low) +
            mmio_write(IOAPIC, 0, 0x11 + pin * 2) + mmio_write(IOAPIC, 0x10, high))


def pic_setup():
    return b''.join(out(base, 0x11) + out(base + 1, vector) + out(base + 1, wired) +
                    out(base + 1, 1) + out(base + 1, 0)
                    for base, vector, wired in ((0x20, 0x30, 4), (0xa0, 0x38, 2)))


def board():
    ack, eoi = u8(13) + u8(5), out(0x20, 0x20)
    rate = out(0x43, 0x34) + out(0x40, 0xa9) + out(0x40, 4)
    yield 'pic', (pic_setup() + rate + wait(3 * MS) + ack + eoi + out(0x20, 0x0b) + inp(0x20) +
                  out(0x20, 0x68) + out(0x21, 0xfb) + inp(0x21) + out(0x4d1, 0x0e) + inp(0x4d1))
    yield 'pit', b''.join(out(0x43, 0x30 | mode << 1) + out(0x40, 100) + out(0x40, 0) + wait(MS) +
                          out(0x43, 0) + inp(0x40) + inp(0x40) + out(0x43, 0xe2) + inp(0x40)
                          for mode in range(6))
    yield 'pit-speaker', (out(0x43, 0xb6) + out(0x42, 0x34) + out(0x42, 0x12) + out(0x61, 3) +
                          inp(0x61) + wait(MS) + inp(0x61) + out(0x43, 0xb1) + out(0x42, 0x55))
    yield 'ioapic', (ioapic(2, 0x31) + rate + wait(3 * MS) + ioapic(17, 0xa041) + u8(13) + u8(0x1f) +
                     u8(13) + u8(6) + u8(0x41) + u8(13) + u8(0x17) + mmio_read(IOAPIC, 0x10) +
                     mmio_write(IOAPIC, 0, 0) + mmio_write(IOAPIC, 0x10, 0xf000000))
    yield 'rtc', (b''.join(out(0x70, i) + inp(0x71) for i in range(14)) + out(0x70, 10) +
                  out(0x71, 0x26) + out(0x70, 11) + out(0x71, 0x72) + wait(5 * MS) + out(0x70, 12) +
                  inp(0x71) + wait(1100 * MS) + inp(0x71))
    yield 'rtc-set', (out(0x70, 11) + out(0x71, 0x82) +
                      b''.join(out(0x70, i) + out(0x71, v) for i, v in
                               ((0, 0x59), (2, 0x59), (4, 0x23), (6, 7), (7, 0x31), (8, 0x12), (9, 0x99),
                                (0x32, 0x20), (1, 0xc0), (3, 0xc0), (5, 0xc0))) +
                      out(0x70, 11) + out(0x71, 0x22) + wait(2000 * MS) + inp(0x71))
    timer = mmio_write(HPET, 0x10, 1) + mmio_write(HPET, 0x100, 0x404)
    yield 'hpet', (mmio_read(HPET, 0) + timer + mmio_write(HPET, 0x108, 20000, 8) + wait(3 * MS) +
                   mmio_read(HPET, 0xf0, 8) + mmio_write(HPET, 0x20, 1) + mmio_write(HPET, 0x10, 3))
    yield 'hpet-periodic', (mmio_write(HPET, 0x100, 0x4c) + mmio_write(HPET, 0x108, 5000) +
                            mmio_write(HPET, 0x108, 5000) + mmio_write(HPET, 0x10, 3) + wait(9 * MS) +
                            mmio_write(HPET, 0x10, 0) + mmio_write(HPET, 0xf0, 1 << 63, 8))
    yield 'hpet-short', (mmio_write(HPET, 0x100, 0x14c) + mmio_write(HPET, 0x108, 1) +
                         mmio_write(HPET, 0x10, 1) + wait(100 * MS))
    yield 'pm', (out(0xb2, 2) + out(0x602, 0x521, 2) + u8(13) + u8(4) + inp(0x600, 2) +
                 out(0x600, 0x100, 2) + inp(0x608, 4) + wait(5000 * MS) + inp(0x600, 2) +
                 out(0x620, 0xffff, 2) + out(0x604, 0x3400, 2) + out(0xb2, 3) + inp(0x630, 4))
    yield 'i8042', (out(0x64, 0xaa) + inp(0x60) + out(0x64, 0x20) + inp(0x60) + out(0x64, 0x60) +
                    out(0x60, 0x47) + out(0x60, 0xff) + inp(0x60) * 3 + out(0x60, 0xf2) + inp(0x60) * 3 +
                    out(0x64, 0xd4) + out(0x60, 0xf4) + inp(0x60) + out(0x64, 0xd3) + out(0x60, 0x5a) +
                    out(0x64, 0xd1) + out(0x60, 0xdf) + inp(0x64) + out(0x64, 0xfe))
    yield 'uart', (ioapic(4, 0x24) + out(0x3fa, 0x81) + out(0x3fc, 0x0b) + out(0x3f9, 0x0f) +
                   out(0x3f8, 0x68) + u8(13) + u8(16 << 3) + b'0123456789abcdef' + bytes(8) + inp(0x3fa) +
                   inp(0x3f8) * 17 + u8(13) + u8(1) + out(0x3f8, 0x21) + inp(0x3fd) + u8(13) + u8(1) +
                   u8(13) + u8(2) + u8(13) + u8(3) + inp(0x3fd))
    yield 'uart-loop', (out(0x3fc, 0x1b) + out(0x3fb, 0x83) + out(0x3f8, 1, 2) + out(0x3fb, 3) +
                        b''.join(out(0x3f8, i) for i in range(18)) + inp(0x3fd) + inp(0x3f8) +
                        out(0x2fc, 0x1a) + inp(0x2fe))
    def dma(control, length, addr):
        return control.to_bytes(4, 'big') + length.to_bytes(4, 'big') + addr.to_bytes(8, 'big')
    go = u8(2 << 4) + port_at(0x514) + bytes(4) + u8(2 << 4) + port_at(0x518) + bytes([0, 0, 0x10, 0])
    yield 'fw_cfg', (out(0x510, 0, 2) + inp(0x511) * 5 + out(0x510, 0x19, 2) + inp(0x511) * 70 +
                     inp(0x514, 4))
    yield 'fw_cfg-dma', (memory(0x1000, dma(0x19000a, 64, 0x2000)) + go + memory(0x1000, dma(4, 9, 0)) +
                         go + memory(0x1000, dma(2, 0x20000, 0xf000)) + go +
                         memory(0x1000, dma(0x10, 64, 0x2000)) + go)
    write = memory(0x1000, dma(0x210018, 8, 0x2000)) + go
    yield 'fw_cfg-write', memory(0x2000, b'12345678') + write + inp(0x511) * 4
    yield 'life', (rate + u8(13) + u8(0x0f) + wait(MS) + u8(13) + u8(0x0b) + b'\x1c\xf0\x1c\0' + inp(0x60) +
                   u8(13) + u8(0x3c) + inp(0x620, 4))
    yield 'small', out(0x505, 1) + inp(0x505) + out(0x501, 0x21) + out(0x80, 1) + out(0xcf9, 6) + inp(0xcf9)
    yield 'a20', out(0x92, 2) + inp(0x92) + out(0x92, 1) + u8(0xff)
    config = b''.join(out(0xcf8, 0x80000000 | reg, 4) + inp(0xcfc, 4)
                      for slot in (0, 31) for reg in range(slot << 11, (slot << 11) + 64, 4))
    yield 'pci-ports', config + out(0xcf8, 0x8000f804, 4) + out(0xcfe, 0xffff, 2) + inp(0xcf8, 4)
    yield 'pci-ecam', b''.join(mmio_read(2 | slot << 2, reg) + mmio_write(2 | slot << 2, reg, 0xffffffff) +
                               mmio_read(2 | slot << 2, reg, 8)
                               for slot in (0, 1, 31) for reg in (0, 4, 0x10, 0x3c, 0x60, 0x90, 0x100, 0xffc))


# --- virtio_pci -----------------------------------------------------------------------------------

BLK, CONSOLE, RNG = 0, 1, 2


def vp(op, dev, code=0):
    return u8(dev << 4 | op) + u8(code)


def vp_start(dev, off=0):
    return vp(0, dev) + u64(off)


def vp_offer(dev, q, bufs, indirect=False):
    shape = len(bufs) - 1 | (4 if indirect else 0)
    for i, buf in enumerate(bufs):
        shape |= (1 << 4 + i) if buf[2] else 0
    return vp(1, dev, q) + u8(shape) + b''.join(u16(gpa) + u16(n) for gpa, n, _ in bufs)


def vp_memory(gpa, data):
    return vp(3, 0) + u16(gpa // 8) + u8(len(data)) + data


def vp_set(dev, off, value, size=2):
    return vp(9, dev, SIZES[size]) + u16(off) + value.to_bytes(size, 'little')


def vp_ecam(dev, off, value, size=4):
    return vp(12, dev, SIZES[size]) + u16(off) + value.to_bytes(size, 'little')


def vp_blk(kind, sector, data, indirect=False):
    """BUFFERS is at 0x1000: head at +0, data at +0x200, status at +0x100."""
    out = kind in (1, 11, 13)
    bufs = [(0, 16, False)] + ([(0x200, data, not out)] if data else []) + [(0x100, 1, True)]
    return vp_memory(0x1000, u32(kind) + u32(0) + u64(sector)) + vp_offer(BLK, 0, bufs, indirect)


PACKED, EVENT, INDIR = 1 << 34, 1 << 29, 1 << 28


def virtio_pci():
    for name, off in (('split', PACKED), ('packed', 0), ('plain', PACKED | EVENT | INDIR)):
        yield f'blk-{name}', (vp_start(BLK, off) + vp_blk(1, 2, 1024) + vp_blk(0, 2, 1024, True) +
                              vp_blk(4, 0, 0) + vp_blk(8, 0, 20) + vp_blk(0, 255, 1024) + vp_blk(99, 0, 8) +
                              vp(10, BLK))
        yield f'console-{name}', (vp_start(CONSOLE, off) + vp_offer(CONSOLE, 0, [(0x800, 64, True)]) +
                                  vp(14, 1) + u8(41) + (b'hello' * 26)[:128] + vp_offer(CONSOLE, 1, [(0, 99, False)]) +
                                  vp(14, 1) + u8(3) + u16(80) + u16(25) + vp(14, 1) + u8(12) +
                                  vp_offer(CONSOLE, 1, [(0, 2000, False)]) + vp(14, 1) + u8(4) +
                                  vp(14, 1) + u8(2))
        yield f'rng-{name}', vp_start(RNG, off) + vp_offer(RNG, 0, [(0, 64, True), (64, 5000, True)]) * 3
    ranges = vp_memory(0x1200, u64(8) + u32(8) + u32(1))
    yield 'blk-zeroes', vp_start(BLK) + ranges + vp_blk(13, 0, 16) + vp_blk(11, 0, 16) + vp_blk(13, 0, 24)
    yield 'blk-headless', vp_start(BLK) + vp_offer(BLK, 0, [(0, 8, False), (0x100, 1, True)]) + vp(15, BLK, 0)
    yield 'blk-writeback', (vp_start(BLK) + vp(7, BLK, 0) + u8(0x20) + u8(0) + vp_blk(1, 0, 512) +
                            vp(7, BLK, 4) + u8(0x20))
    yield 'msix', (vp(11, BLK, 3) + u16(0) + u64(0xfee00000) + vp(11, BLK, 2) + u16(8) + u32(0x41) +
                   vp(11, BLK, 2) + u16(12) + u32(0) + vp_ecam(BLK, 0x9a, 0xc000, 2) + vp_start(BLK) +
                   vp_blk(0, 0, 512) + vp_ecam(BLK, 0x9a, 0x8000, 2) + vp_blk(0, 0, 512) + vp(11, BLK, 6) + u16(0x800))
    moves = b''.join(vp_ecam(BLK, 0x10, bar) + vp_blk(0, 1, 512)
                     for bar in (0xffffffff, 0xd0000000, 0xfec00000, 0xb0000000, 0, 0xc0004000))
    yield 'bar-moves', vp_start(BLK) + moves + vp_ecam(BLK, 4, 0, 2) + vp_ecam(BLK, 4, 6, 2) + moves
    yield 'command', (vp_start(RNG) + vp_ecam(RNG, 4, 2, 2) + vp_offer(RNG, 0, [(0, 64, True)]) +
                      vp_ecam(RNG, 4, 6, 2))
    window = b''.join(vp(13, CONSOLE, 2) + u8(off) + u32(v) for off, v in
                      ((0x84, 0), (0x88, 0x14), (0x8c, 1), (0x90, 1)))
    yield 'config-window', window + vp(13, CONSOLE, 6) + u8(0x90)
    walk = b''.join(vp(12, dev, 6) + u16(off) for dev in range(3) for off in range(0, 256, 4))
    yield 'capabilities', walk
    yield 'registers', b''.join(vp(5, dev, 6) + u8(off) + vp(5, dev, 2) + u8(off) + u32(off * 0x01010101)
                                for dev in range(3) for off in range(0, 56, 4))
    yield 'queues', (vp(15, CONSOLE, 0) + vp(15, CONSOLE, 3) + vp_set(CONSOLE, 8, 1, 4) +
                     vp_set(CONSOLE, 12, 1, 4) + vp(15, CONSOLE, 11) +
                     b''.join(vp_set(CONSOLE, 0x16, q) + vp_set(CONSOLE, 0x18, 8) +
                              vp_set(CONSOLE, 0x20, 0x7fff0, 8) + vp_set(CONSOLE, 0x1c, 1)
                              for q in (0, 1, 2)) + vp(15, CONSOLE, 15) + vp(8, CONSOLE, 0) + vp(8, CONSOLE, 9))
    yield 'pause', vp_start(BLK) + vp_blk(0, 0, 4096) + vp(14, BLK) + u8(5) + vp_blk(1, 0, 4096) + vp(14, BLK) + u8(6)
    yield 'reset', vp_start(CONSOLE) + vp(14, 1) + u8(12) + vp_offer(CONSOLE, 1, [(0, 99, False)]) + vp(14, 1) + u8(7)


# --- cpu ------------------------------------------------------------------------------------------

REAL, PROT16, PROT32, PAGED32, PAE, COMPAT, LONG, V86 = range(8)
UNCACHED, USER = 0x40, 0x80


def cpu_case(mode, code, flags=0x41, patches=b''):
    """Code as hex text; 0 ends the patches."""
    return u8(mode) + u8(flags) + patches + u8(0) + bytes.fromhex(code)


def reg(n, value):
    return u8(n << 4 | 1) + u64(value)


def poke(at, value):
    return u8(3) + u16(at // 4) + u64(value)


CODES = {
    'arith': '01d8 29d8 11c3 19c3 f7e1 f7f1 6bc07f 0fafc1 d3e0 c1f803 0fa4d805 f4',
    'bits': '0fa3c8 0fabc8 0fbcc1 0fbdc1 0fc8 0fb6c1 0fbec1 98 99 f4',
    'memory': '8b06 8907 f00107 0fc107 8706 ff07 f717 c70700000000 f4',
    'string': 'fc b91000 0000 f3a4 b910000000 f3ab b910000000 f3a6 b910000000 f2ae acaaa5 f4',
    'stack': '50 53 5b 58 9c 9d 60 61 c8100002 c9 e800000000 58 f4',
    'faults': '0f0b cc cd80 f7f0 0f05 6202 cf f4',
    'far': 'ea000001000800 9a000001001800 cb f4',
    'segment': '8ed8 8ec0 8ee0 8ce8 0fa0 0fa1 c506 c406 0f00d8 0f00d0 0f02c1 0f03c1 0f00e0 63c1 f4',
    'system': '0f20c0 0f22c0 0f20d8 0f22d8 0f20e0 0f22e0 0f21f8 0f23f8 0f0138 0f0106 0f010e 0f0116 0f011e 0f06 f4',
    'msr': 'b91b000000 0f32 0f30 b980000000c0 0f32 b900080000 0f32 0f31 0f01f9 0fa2 f4',
    'io': 'e460 e660 ec ee ed ef 6c 6e f36c f36e f4',
    'x87': 'd9e8 d9eb dec9 dd06 dd1f d9fa dbe3 9bdd3f dd37 dd27 d9fe d9f8 dfe0 f4',
    'mmx': '0f6fc8 0ffcc1 0fd5c1 0f7f07 0f77 f4',
    'sse': '0f28c1 0f58c1 660f58c1 f30f58c1 f20f5ec1 0f51c0 660fefc0 660f3800c1 660f3a0fc108 0f2807 0fae07 0fae0f f4',
    'avx': 'c5f858c1 c5fc5807 c4e27d18c1 c4e2fd98c1 c5fc2907 c5f877 c4e2f5f7c3 c4e27d9004 c4e2718e07 f4',
    'xsave': '31d2 b807000000 0fae27 0fae2f 0fae37 0fc727 0f01d0 0f01d1 f4',
    'atomic': 'f00fb10f f00fc70f f0480fc70f f00fab0f f00fb14ffd 0fc7f0 0fc7f8 f4',
    'self-modifying': 'c705100001004090f4f4 4040404090909090 c7050a000100f4f4f4f4 ebfe',
    'loop': 'b90a000000 e2fe 75fe ebfc',
    'apic': 'bf0000e0fe 8b4720 c787f0000000ff010000 c7872003000020000300 c787e00300000b000000 '
            'c7878003000010000000 8b8790030000 c7878000000010000000 fb c7870003000041400400 90 90 '
            'c787b000000000000000 c7871003000000000001 c7870003000002440000 90 '
            'c7870003000000450000 f4',
    'x2apic': 'b91b000000 0f32 0d000c0000 0f30 31d2 b90f080000 b8ff010000 0f30 fb b93f080000 b841000000 '
              '0f30 90 b90b080000 31c0 0f30 b932080000 b831000000 0f30 b938080000 b810000000 0f30 '
              'b939080000 0f32 b930080000 b841400400 0f30 440f20c0 440f22c0 b9e0060000 0f30 f4',
    'kvmclock': 'b90d4b564b 31d2 b801800300 0f30 0f32 b9004b564b 0f30 b910000000 0f32 0f30 b93b000000 0f30 f390 f4',
    'flags': '9c 9d 0f01cb 0f01ca fa fb 669c 669d 0f01e0 0f01f0 0f013e 660f388207 f3480faec8 f3480faed8 f4',
    'task': '9a000000007000 cf f4',
    'sysenter': '0f34 0f35 0f05 480f07 f4',
    'prefixes': '66676465262e363e f2f3f0 90 f30f1efa 0f1f8000000000 666666660f0b',
    'swapgs': '0f01f8 f3480faec0 f3480faed1 0f01ca 0f01cb 0f01df 660f388237 f4',
}


def cpu():
    for name, code in CODES.items():
        for mode, tag in ((REAL, 'real'), (PROT32, 'prot'), (LONG, 'long')):
            if mode == REAL and name in ('apic', 'x2apic', 'kvmclock', 'swapgs', 'avx', 'xsave',
                                         'sysenter', 'mmx', 'sse', 'task', 'self-modifying'):
                continue
            yield f'{name}-{tag}', cpu_case(mode, code)
    yield 'prot16', cpu_case(PROT16, '01d8 a5 50 58 66a5 cd20 f4')
    yield 'compat', cpu_case(COMPAT, '01d8 a5 50 58 66a5 cd20 ea000001000800 f4')
    yield 'v86', cpu_case(V86, 'cd10 9c 9d fa fb cf e460 8ed8 f4')
    yield 'pae', cpu_case(PAE, '0f20d8 0f22d8 8b07 0f013f f4', patches=poke(0x21000, 0x21003))
    yield 'pae-reserved', cpu_case(PAE, '8b07 f4', patches=poke(0x23000 + 0x38 * 8, 1 << 62 | 0x38007))
    yield 'paged32-user', cpu_case(PAGED32 | USER, '8b07 8907 0f20c0 f4', patches=poke(0x21000 + 0x38 * 4, 0x39003))
    yield 'long-user', cpu_case(LONG | USER, '488b07 488907 0f05 f4', patches=poke(0x23000 + 0x38 * 8, 0x38005))
    yield 'long-loop-tables', cpu_case(LONG, '488b07 f4', patches=poke(0x20000, 0x20007) + reg(7, 0x123456789000))
    yield 'long-noncanonical', cpu_case(LONG, '488b07 ffe7 f4', patches=reg(7, 1 << 63))
    yield 'long-step', cpu_case(LONG | UNCACHED, '01d8 f3a4 cd80 8ed0 90 f4', flags=0x43)
    yield 'breakpoint', cpu_case(LONG, '01d8 8907 f3aa f4', patches=u8(0x0f) + u8(2) + u32(1) + u8(0x17) + u16(0x700) + u32(0xd0004))
    yield 'rep-across', cpu_case(LONG, 'f3a4 f4', patches=reg(1, 1 << 60) + reg(6, 0) + reg(7, 0x7fff00))
    yield 'page-crossing', cpu_case(LONG, '488907 f0480fb107 0f2807 f4', patches=reg(7, 0x38ffd))
    yield 'code-page-end', cpu_case(LONG, 'e9f70f0000', patches=poke(0x10ff8, 0x9090909090909090) + poke(0x10ffc, 0x48))
    yield 'fpu-unmasked', cpu_case(LONG, 'd9e8 d9ee def9 9b 0f58c1 f4', patches=u8(6) + bytes(16) + u16(0) + u8(0) + u16(0))
    yield 'triple', cpu_case(PROT32, '0f0b', patches=poke(0x2030, 0) + poke(0x2040, 0) + poke(0x2068, 0))


# --- all ------------------------------------------------------------------------------------------

TARGETS = {f.__name__: f for f in (virtqueue, virtio_pci, board, kernel, config, cpu)}


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
