# SPDX-License-Identifier: Apache-2.0
"""Writes the native thunks from src/cpu/table: gen_thunks.py TABLE_DIR OUT_DIR.

OUT_DIR/thunks.S: one stub per form, and insn_thunk[form][variant]; OUT_DIR/thunks.c: the bodies
x_thunk_* that call them (instances of the inline functions in cpu/exec/simd_thunk.h). The stubs' calling
convention is documented there. Instructions are emitted as bytes built from the table's encoding.

Fixed registers of a stub: ModRM.reg = 1, ModRM.rm = 2, VEX.vvvv = 3, is4 = 4, implicit XMM0; a general
register in ModRM.reg is ECX, in ModRM.rm EAX when read and ECX when written.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import insn_table  # noqa: E402
from gen_insn import write_if_changed  # noqa: E402

STRIDE = 32     # between the stubs of one immediate
MM_STRIDE = 16  # between the stubs of one MMX register or immediate
POINTER = {'V': 'rdi', 'G': 'rdi', 'W': 'rsi', 'U': 'rsi', 'E': 'rsi', 'R': 'rsi', 'M': 'rsi', 'Q': 'rsi', 'N': 'rsi',
           'H': 'rdx', 'L': 'rcx'}
XMM = {'V': 1, 'W': 2, 'U': 2, 'H': 3, 'L': 4}
PREFIX = {2: [0x66], 4: [0xF3], 8: [0xF2]}
ESCAPE = {0: [], 1: [0x0F], 2: [0x0F, 0x38], 3: [0x0F, 0x3A]}


def hexbytes(bs):
    return '.byte ' + ', '.join(b if isinstance(b, str) else '0x%02x' % b for b in bs)


def encode(f, reg, rm, mem, w, length, imm=None, opcode=None):
    """The instruction's bytes; mem: the operand is [rsi]."""
    pp = f.pfx & -f.pfx
    modrm = [(0 if mem else 3) << 6 | reg << 3 | (6 if mem else rm)] if f.modrm else []
    tail = [imm] if imm is not None else []
    op = f.opcode if opcode is None else opcode
    if f.vex:
        vvvv = 3 if any(o.letter == 'H' for o in f.ops) else 0
        return [0xC4, 0xE0 | (f.map - 3), w << 7 | (~vvvv & 15) << 3 | length << 2 | {1: 0, 2: 1, 4: 2, 8: 3}[pp],
                op] + modrm + tail
    return PREFIX.get(pp, []) + ([0x48] if w else []) + ESCAPE[f.map] + [op] + modrm + tail


def size_of(o, length, w):
    big = 32 if length else 16
    return {'x': big, 'h': big // 2, 'k': big // 4, 'e': big // 8, 'y': 8 if w else 4}.get(o.wtext, o.width)


def vload(f, n, ptr, size):
    v = 'v' if f.vex else ''
    if size == 32:
        return ['vmovups (%%%s), %%ymm%d' % (ptr, n)]
    if size == 16:
        return ['%smovups (%%%s), %%xmm%d' % (v if 'STR' not in f.tf else '', ptr, n)]
    if size in (8, 4):
        name = {(8, True): 'movsd', (4, True): 'movss', (8, False): 'movq', (4, False): 'movd'}[(size, f.mxcsr)]
        return ['%s%s (%%%s), %%xmm%d' % (v, name, ptr, n)]
    return ['%s (%%%s), %%eax' % ({2: 'movzwl', 1: 'movzbl'}[size], ptr), '%smovd %%eax, %%xmm%d' % (v, n)]


def vstore(f, n, ptr):
    return ['vmovups %%ymm%d, (%%%s)' % (n, ptr) if f.vex else 'movups %%xmm%d, (%%%s)' % (n, ptr)]


def gload(ptr, size):
    return {8: 'mov (%%%s), %%rax', 4: 'mov (%%%s), %%eax', 2: 'movzwl (%%%s), %%eax', 1: 'movzbl (%%%s), %%eax'}[size] % ptr


def ending(f, length):
    out = []
    if f.fl['w']:
        out += ['lahf', 'seto %al']
        if 'STR' not in f.tf:
            out += ['movzwl %ax, %eax']
    elif f.mxcsr:
        out += ['xor %eax, %eax']
    if length:
        out += ['vzeroupper']
    return out + ['ret']


def stub(f, w, length):
    """Lines of one stub; `imm` stands for the immediate."""
    before, after = [], []
    reg, rm, mem, imm = 1, 2, False, None
    if not any(o.letter in ('V', 'G', 'P') for o in f.ops):
        reg = (f.reg_mask & -f.reg_mask).bit_length() - 1
    for o in f.ops:
        ptr, size = POINTER.get(o.letter), size_of(o, length, w)
        if o.letter in XMM:
            n = XMM[o.letter]
            if o.access & 1:
                if o.access & 2 and o.letter in 'VU':
                    size = 32 if length else 16
                before += vload(f, n, ptr, size)
            if o.access & 2:
                after += vstore(f, n, ptr)
        elif o.letter == 'I':
            imm = 'imm'
        elif o.letter == 'M':
            mem = True
        elif o.letter == 'G':
            after.append('mov %%rcx, (%%%s)' % ptr)
        elif o.letter in ('E', 'R'):
            rm = 0 if o.access == 1 else 1
            if o.access & 1:
                before.append(gload(ptr, size))
            else:
                after.append('mov %%rcx, (%%%s)' % ptr)
        elif o.body == 'XMM0':
            if o.access & 1:
                before += vload(f, 0, 'rcx', 16)
            else:
                after += vstore(f, 0, 'r8')
        elif o.body == 'ECX':
            after.append('mov %rcx, 8(%r9)')
        else:
            raise SystemExit('%s: operand %s in a thunk' % (f.where, o.text))
    if any(o.letter == 'L' for o in f.ops):
        imm = 0x40
    if 'pcmpestr' in f.name:
        before += ['mov (%r9), %rax', 'mov 16(%r9), %rdx']
    return before + [hexbytes(encode(f, reg, rm, mem, w, length, imm))] + after + ending(f, length)


def mm_stub(f, reg, rm, mem, w, shifts, imm):
    """A stub for MMX registers reg and rm, which are live."""
    before, after, opcode = [], [], None
    letters = [o.letter for o in f.ops]
    if 'SHIFT' in f.tf:
        # by a count in memory instead of all immediates
        return [hexbytes(encode(f, rm, 0, True, 0, 0, None, shifts[f.name])), 'xor %eax, %eax', 'ret']
    for o in f.ops:
        if o.letter in 'VWU':
            if o.letter == 'V':
                reg = 1
            else:
                rm = 2
            if o.access & 1:
                before += vload(f, XMM[o.letter], POINTER[o.letter], size_of(o, 0, w) if o.access == 1 else 16)
            if o.access & 2:
                after += vstore(f, XMM[o.letter], POINTER[o.letter])
        elif o.letter == 'G':
            reg = 1
            after.append('mov %rcx, (%rdi)')
        elif o.letter in ('E', 'R') and not mem:
            rm = 0 if o.access == 1 else 1
            if o.access & 1:
                before.append(gload('rsi', size_of(o, 0, w)))
            else:
                after.append('mov %rcx, (%rsi)')
    # only the MMX, the general and the M operands may be read in place: an XMM one may be unaligned
    mem = mem and not set('WU') & set(letters)
    return (before + [hexbytes(encode(f, reg, rm, mem, w, 0, 'imm' if imm else None, opcode))] + after +
            ['xor %eax, %eax', 'ret'])


class Text:
    def __init__(self):
        self.lines = []
        self.count = 0

    def place(self, stubs, stride):
        """Places (lines, number of immediates) at multiples of the stride; returns the label."""
        label = '.Lt%d' % self.count
        self.count += 1
        self.lines += ['\t.balign %d, 0xcc' % min(stride, 32), label + ':', '\t.set slot, 1']
        for lines, imms in stubs:
            if imms > 1:
                self.lines += ['\t.set imm, 0', '\t.rept %d' % imms]
            self.lines += ['\t' + x for x in lines]
            if imms > 1 or len(stubs) > 1:
                # an error if the stub is over its stride
                self.lines += ['\t.org %s + slot * %d, 0xcc' % (label, stride), '\t.set slot, slot + 1']
            if imms > 1:
                self.lines += ['\t.set imm, imm + 1', '\t.endr']
        return label


def mm_form(text, f, shifts):
    """The labels of the register and the memory stubs, indexed by (reg, rm, imm) as far as they matter."""
    w = 1 if f.w_mask == 2 else 0
    imms = 256 if 'IMM16' in f.tf else 4 if 'IMM4' in f.tf else 1
    labels = []
    for mem in (False, True):
        if not f.mod_mask & (2 if mem is False else 1) and not (f.name == 'emms'):
            labels.append('0')
            continue
        regs = range(8) if 'P' in f.tf else [1]
        rms = range(8) if 'Q' in f.tf and not mem else [2]
        stubs = [(mm_stub(f, r, m, mem, w, shifts, imms > 1), imms) for r in regs for m in rms]
        labels.append(text.place(stubs, MM_STRIDE))
    return labels


def make_form(text, f):
    imms = 256 if 'IMM' in f.tf else 1
    by_w = any(o.wtext == 'y' for o in f.ops)
    labels = []
    for variant in (0, 1):
        w, length = (1 if f.w_mask == 2 else 0), 0
        if by_w:
            w = variant
        elif f.vex and not f.lig:
            length = variant
            if not f.l_mask >> length & 1:
                labels.append('0')
                continue
        elif variant == 1:
            labels.append(labels[0])
            continue
        labels.append(text.place([(stub(f, w, length), imms)], STRIDE if imms > 1 else 16))
    return labels


HEAD = ['/* Generated by tools/gen_thunks.py from src/cpu/table. */', '\t.text', '\t.balign 64',
        '\t.globl thunk_text_start, thunk_text_end, thunk_text_avx, thunk_fault, thunk_fault_avx, insn_thunk, thunk_mm_store',
        '\t.hidden thunk_text_start, thunk_text_end, thunk_text_avx, thunk_fault, thunk_fault_avx, insn_thunk, thunk_mm_store',
        'thunk_fault:', '\tmov $-1, %eax', '\tret', 'thunk_fault_avx:', '\tmov $-1, %eax', '\tvzeroupper', '\tret',
        'thunk_text_start:']


def main():
    table, out = sys.argv[1:3]
    forms, expanded = insn_table.load(table)
    for f in forms:
        f.thunk = insn_table.is_thunk(f)
        if f.thunk:
            f.tf, f.tsize = insn_table.thunk_flags(f)
            f.labels = None
    shifts = {f.name: f.opcode for f in forms if f.thunk and f.tf == ['P', 'Q', 'MM']}
    text = Text()
    for vex in (False, True):
        if vex:
            text.lines.append('thunk_text_avx:')
        for f in forms:
            if f.thunk and f.vex == vex:
                f.labels = mm_form(text, f, shifts) if 'MM' in f.tf else make_form(text, f)
        if not vex:
            # MOVQ m64 <- mm0..mm7, for the bodies in C that look at live MMX registers
            get = text.place([([hexbytes([0x0F, 0x7F, r << 3 | 6]), 'xor %eax, %eax', 'ret'], 1) for r in range(8)],
                             MM_STRIDE)
            text.lines.append('\t.set thunk_mm_store, %s' % get)
    s = HEAD + text.lines + ['thunk_text_end:', '\t.section .data.rel.ro, "aw"', '\t.balign 8', 'insn_thunk:']
    for _, _, _, f in expanded:
        s.append('\t.quad %s, %s' % tuple(f.labels if f.thunk else ('0', '0')))
    s += ['\t.section .note.GNU-stack, "", @progbits', '']
    write_if_changed(os.path.join(out, 'thunks.S'), '\n'.join(s))

    bodies = {}
    for f in forms:
        if f.thunk:
            bodies[insn_table.body_name(f)] = (f.tf, f.tsize)
    c = ['/* Generated by tools/gen_thunks.py from src/cpu/table. */', '#include "cpu/exec/simd_thunk.h"',
         '#include "cpu/insn_forms.h"', '']
    for name, (tf, size) in sorted(bodies.items()):
        c.append('THUNK_BODY(x_%s, %s, %s)' % (name, ' | '.join('T_' + t for t in tf), size))
    write_if_changed(os.path.join(out, 'thunks.c'), '\n'.join(c) + '\n')


if __name__ == '__main__':
    main()
