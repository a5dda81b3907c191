# SPDX-License-Identifier: Apache-2.0
"""Reads the instruction table (src/cpu/table/*.def); the notation is in table/README.md.

Used by gen_insn.py (decoder tables), gen_thunks.py (native stubs) and the coverage page.
"""
import glob
import os
import re

MAPS = {'': 0, '0F': 1, '0F38': 2, '0F3A': 3}
KINDS = {'E': 'OP_E', 'G': 'OP_G', 'M': 'OP_M', 'R': 'OP_R', 'I': 'OP_I', 'J': 'OP_J', 'O': 'OP_O', 'Z': 'OP_Z',
         'S': 'OP_SREG', 'C': 'OP_CR', 'D': 'OP_DR', 'A': 'OP_FAR', 'X': 'OP_X', 'Y': 'OP_Y', 'V': 'OP_V',
         'W': 'OP_W', 'U': 'OP_U', 'H': 'OP_H', 'L': 'OP_L', 'P': 'OP_P', 'Q': 'OP_Q', 'N': 'OP_N', 'T': 'OP_ST',
         'VM': 'OP_VM', 'B': 'OP_VREG'}
WIDTHS = {'': 'OPW_0', 'b': 1, 'w': 2, 'd': 4, 'q': 8, 't': 10, 'dq': 16, 'qq': 32, 'v': 'OPW_V', 'z': 'OPW_Z',
          'y': 'OPW_Y', 'x': 'OPW_X', 'h': 'OPW_H', 'k': 'OPW_QTR', 'e': 'OPW_EIGHTH', 'p': 'OPW_P', 's': 'OPW_S',
          'a': 'OPW_A'}
PFX = {'NP': 1, '66': 2, 'F3': 4, 'F2': 8}
FLAG = {'c': 1, 'p': 2, 'a': 4, 'z': 8, 's': 16, 'o': 32}
FLAGS_ATTR = ['lock', 'priv', 'prot', 'd64', 'f64', 'end', 'align', 'string', 'nofuzz', 'thunk', 'regonly', 'vsib']


class Operand:
    def __init__(self, text):
        self.text = text
        self.access = 1
        if text[0] in '=+~':
            self.access = {'=': 2, '+': 3, '~': 0}[text[0]]
            text = text[1:]
        self.body = text
        m = re.match(r'^(VM|[EGMRIJOZSCDAXYVWUHLPQNTB])(dq|qq|[bwdqtvzyxhkepsa]|\d+)?$', text)
        if m and not re.match(r'^(CL|AL|DX|CS|DS|ES|SS|FS|GS|AX)$', text):
            self.kind = KINDS[m.group(1)]
            self.letter = m.group(1)
            w = m.group(2) or ''
            self.wtext = w
            self.width = int(w) if w.isdigit() else WIDTHS[w]
        else:
            self.kind, self.letter, self.width, self.wtext = 'OP_FIXED', None, 'OPW_0', ''
            if text in ('AL', 'CL'):
                self.width, self.wtext = 1, 'b'
            elif text.startswith('r') and text != 'r':
                self.width, self.wtext = 'OPW_V', 'v'


class Form:
    pass


def parse_line(line, where):
    cols = [c.strip() for c in line.split('|')]
    if len(cols) == 2:
        cols.append('')
    if len(cols) != 3:
        raise SystemExit('%s: three columns wanted: %s' % (where, line))
    f = Form()
    f.where, f.line = where, line.strip()
    head = cols[0].split(None, 1)
    f.name = head[0]
    f.ops = [Operand(o.strip()) for o in head[1].split(',')] if len(head) > 1 else []
    f.attrs = cols[2].split()
    parse_encoding(f, cols[1].split())
    parse_attrs(f)
    return f


def parse_encoding(f, toks):
    f.pfx, f.map, f.vex = 15, 0, False
    f.reg_mask, f.rm_mask, f.mod_mask, f.w_mask, f.l_mask = 255, 255, 3, 3, 3
    f.modrm, f.plusr, f.opcode = False, False, None
    i = 0
    if toks[0].startswith('VEX.'):
        f.vex = True
        f.l_mask = 3
        for p in toks[0].split('.')[1:]:
            if p in ('128', 'LZ'):
                f.l_mask = 1
            elif p == '256':
                f.l_mask = 2
            elif p == 'LIG':
                f.l_mask = 3
            elif p in PFX:
                f.pfx = PFX[p]
            elif p in ('0F', '0F38', '0F3A'):
                f.map = MAPS[p] + 3
            elif p in ('W0', 'W1'):
                f.w_mask = 1 << int(p[1])
            elif p == 'WIG':
                pass
            else:
                raise SystemExit('%s: bad VEX part %s' % (f.where, p))
        f.lig = 'LIG' in toks[0].split('.')
        i = 1
    else:
        f.lig = False
        if all(p in PFX for p in toks[0].split(',')) and len(toks) > 1 and re.match(r'^[0-9A-F]{2,4}$', toks[1]):
            f.pfx = 0
            for p in toks[0].split(','):
                f.pfx |= PFX[p]
            i = 1
        if toks[i] in ('0F', '0F38', '0F3A') and i + 1 < len(toks) and re.match(r'^[0-9A-F]{2}$', toks[i + 1]):
            f.map = MAPS[toks[i]]
            i += 1
    f.opcode = int(toks[i], 16)
    i += 1
    for t in toks[i:]:
        if t == '/r':
            f.modrm = True
        elif t.startswith('/'):
            f.modrm = True
            f.reg_mask = 0
            for n in t.split(','):
                f.reg_mask |= 1 << int(n.strip('/'))
        elif t == '+r':
            f.plusr = True
        elif t == 'mem':
            f.mod_mask = 1
        elif t == 'reg':
            f.mod_mask = 2
        elif t.startswith('rm='):
            f.rm_mask = 1 << int(t[3:])
        elif t in ('W0', 'W1'):
            f.w_mask = 1 << int(t[1])
        else:
            raise SystemExit('%s: bad encoding word %s' % (f.where, t))
    if any(o.kind in ('OP_M', 'OP_VM') for o in f.ops) and f.mod_mask == 3:
        f.mod_mask = 1
    if any(o.kind in ('OP_U', 'OP_N', 'OP_R') for o in f.ops) and 'regonly' not in f.attrs and f.mod_mask == 3:
        f.mod_mask = 2


def parse_attrs(f):
    f.set, f.fl = set(), {'r': 0, 'w': 0, 'u': 0}
    f.fn, f.os, f.state, f.mode, f.mxcsr = None, None, None, 3, False
    f.features = []
    for a in f.attrs:
        if a in FLAGS_ATTR:
            f.set.add(a)
        elif a == 'mxcsr':
            f.mxcsr = True
        elif a == 'i64':
            f.mode = 1
        elif a == 'o64':
            f.mode = 2
        elif a in ('x87', 'mmx', 'sse', 'avx', 'int'):
            f.state = a
        elif a[:2] in ('r=', 'w=', 'u='):
            for c in a[2:]:
                f.fl[a[0]] |= FLAG[c]
        elif a.startswith('fn='):
            f.fn = a[3:]
        elif a.startswith('os='):
            f.os = a[3:]
        elif re.match(r'^[A-Z0-9_]+(/[A-Z0-9_]+)?$', a):
            f.features = a.split('/')
        else:
            raise SystemExit('%s: bad attribute %s' % (f.where, a))
    f.fn = f.fn or f.name.rstrip('.')
    if f.state is None:
        kinds = {o.kind for o in f.ops}
        f.state = 'int'
        if kinds & {'OP_P', 'OP_Q', 'OP_N'}:
            f.state = 'mmx'
        if kinds & {'OP_V', 'OP_W', 'OP_U', 'OP_H', 'OP_L'}:
            f.state = 'sse'
        if 'OP_ST' in kinds:
            f.state = 'x87'
        if f.vex and not f.state == 'int':
            f.state = 'avx'
    if f.os is None:
        f.os = 'v'
        for o in f.ops:
            if o.kind in ('OP_E', 'OP_G', 'OP_M', 'OP_R', 'OP_Z', 'OP_O', 'OP_X', 'OP_Y', 'OP_VREG',
                          'OP_FIXED', 'OP_I', 'OP_CR', 'OP_DR') and o.wtext in ('b', 'w', 'd', 'q', 'v', 'y', 'z'):
                f.os = {'z': 'v'}.get(o.wtext, o.wtext)
                break
    f.imm = imm_kind(f)
    f.vvvv_free = not any(o.kind in ('OP_H', 'OP_VREG') for o in f.ops)


# What a native thunk's caller has to do, from the operands: T_* of cpu/exec/simd_thunk.h.
THUNK_ROLE = {'V': 'V', 'G': 'G', 'W': 'W', 'U': 'W', 'M': 'M', 'E': 'E', 'R': 'E', 'H': 'H', 'L': 'L', 'P': 'P',
              'Q': 'Q', 'N': 'Q'}


def thunk_flags(f):
    """T_* names, and the size of the memory operand as a C expression."""
    t, size = [], '0'
    for o in f.ops:
        if o.letter == 'I':
            t.append('IMM')
        elif o.body == 'XMM0' and o.access & 1:
            t.append('X0')
        elif o.letter:
            t.append(THUNK_ROLE[o.letter])
            if o.letter in 'WMEQ':
                size = {'x': 'T_SIZE_X', 'h': 'T_SIZE_H', 'k': 'T_SIZE_K', 'e': 'T_SIZE_E',
                        'y': 'T_SIZE_Y'}.get(o.wtext, o.width)
            if o.letter in 'ME' and o.access & 2 or o.letter == 'Q' and o.access == 2:
                t.append('ST')
        if o.wtext == 'y':
            t.append('BY_W')
    if f.name.lstrip('v').startswith('pcmpestr') or f.name.lstrip('v').startswith('pcmpistr'):
        t.append('STR')
    if 'align' in f.set:
        t.append('ALIGN')
    if f.mxcsr:
        t.append('FP')
    if f.fl['w']:
        t.append('FL')
    if f.state == 'mmx' or {'P', 'Q'} & set(t):
        t.append('MM')
        if 'IMM' in t:
            t.remove('IMM')
            t.append('IMM4' if f.name in ('pinsrw', 'pextrw') else 'SHIFT' if t[0] == 'Q' else 'IMM16')
    return t, str(size)


def is_thunk(f):
    return 'thunk' in f.set and f.state != 'x87' and not any(a.startswith('fn=') for a in f.attrs)


def body_name(f):
    """The body x_NAME that runs the form."""
    if not is_thunk(f):
        return f.fn
    t, size = thunk_flags(f)
    return 'thunk_%s_%s' % ('_'.join(t), size.replace('T_SIZE_', '').lower())


def imm_kind(f):
    kinds = []
    for o in f.ops:
        if o.kind == 'OP_I':
            kinds.append({'b': 'IMM_B', 'w': 'IMM_W', 'z': 'IMM_Z', 'v': 'IMM_V', 'd': 'IMM_D'}[o.wtext])
        elif o.kind == 'OP_J':
            kinds.append({'b': 'IMM_JB', 'z': 'IMM_JZ'}[o.wtext])
        elif o.kind == 'OP_O':
            kinds.append('IMM_MOFFS')
        elif o.kind == 'OP_FAR':
            kinds.append('IMM_FAR')
        elif o.kind == 'OP_L':
            kinds.append('IMM_IS4')
    if kinds == ['IMM_W', 'IMM_B']:
        return 'IMM_WB'
    if kinds == ['IMM_B', 'IMM_B']:
        return 'IMM_W'  # EXTRQ/INSERTQ style, two bytes
    if len(kinds) > 1 and kinds != ['IMM_IS4']:
        raise SystemExit('%s: too many immediates' % f.where)
    return kinds[0] if kinds else 'IMM_NONE'


def load(folder):
    forms = []
    for path in sorted(glob.glob(os.path.join(folder, '*.def'))):
        with open(path) as fh:
            for n, line in enumerate(fh, 1):
                text = line.split('#', 1)[0].strip()
                if text:
                    forms.append(parse_line(text, '%s:%d' % (os.path.basename(path), n)))
    for f in forms:
        f.opcodes = range(f.opcode, f.opcode + (8 if f.plusr else 1))
    order = {id(f): i for i, f in enumerate(forms)}
    expanded = [(f.map, op, order[id(f)], f) for f in forms for op in f.opcodes]
    expanded.sort(key=lambda t: t[:3])
    return forms, expanded
