#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gen_coverage.py [--check]: writes docs/instructions.md from the instruction table and from the list of
forms that the differential test leaves to other tests; --check only says whether the page is up to date."""
import os
import re
import sys

import insn_table

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(TOP, 'docs/instructions.md')
HEAD = '''# Instructions

Every form that the decoder knows, by the CPUID feature it needs (`base`: none). This page is generated from
`src/cpu/table/*.def` by `tools/gen_coverage.py`; `make check` fails when it is old. A form is one opcode of one
line of the table, with all its operand sizes, prefixes and addressing modes.

**C** forms are bodies in `src/cpu/exec/`. **Native** forms run the host's own instruction in a stub assembled at
build time, and so compute what the host's CPU computes. **Compared**: `tests/diff` runs the form on the host's
CPU and in the interpreter and compares registers, flags, memory and faults. **Elsewhere**: forms that an ordinary
process cannot execute or that are not deterministic; the last section names their tests (what the privileged ones
do at CPL 3 is compared, too). `build/release/tests/diff/diff` prints how often each kind was run.

'''


def elsewhere():
    with open(os.path.join(TOP, 'tests/diff/elsewhere.def')) as fh:
        return re.findall(r'^E\("(\w+)", "([^"]+)"\)', fh.read(), re.M)


def names(forms):
    seen = {}
    for f in forms:
        seen[f.name.rstrip('.')] = seen.get(f.name.rstrip('.'), 0) + 1
    return ' '.join(sorted(seen)) or '-'


def page():
    _, forms = insn_table.load(os.path.join(TOP, 'src/cpu/table'))
    forms = [f for _, _, _, f in forms]
    groups = {}
    for f in forms:
        groups.setdefault('/'.join(f.features) or 'base', []).append(f)
    order = ['base'] + sorted(g for g in groups if g != 'base')
    rows, lists, total = [], [], [0] * 4
    for g in order:
        native = [f for f in groups[g] if 'thunk' in f.set or f.state == 'x87']
        plain = [f for f in groups[g] if f not in native]
        other = [f for f in groups[g] if 'nofuzz' in f.set]
        row = [len(plain), len(native), len(groups[g]) - len(other), len(other)]
        total = [a + b for a, b in zip(total, row)]
        rows.append('| %s | %d | %d | %d | %d |' % tuple([g] + row))
        lists.append('**%s**' % g)
        if plain:
            lists.append('- C: ' + names(plain))
        if native:
            lists.append('- native: ' + names(native))
        lists.append('')
    out = HEAD + '| feature | C | native | compared | elsewhere |\n|---|---|---|---|---|\n'
    out += '\n'.join(rows) + '\n| **all** | %d | %d | %d | %d |\n\n' % tuple(total)
    out += '## By feature\n\n' + '\n'.join(lists)
    out += '\n## Elsewhere\n\n| instruction | tests |\n|---|---|\n'
    return out + ''.join('| %s | %s |\n' % e for e in elsewhere())


def main():
    text = page()
    old = ''
    if os.path.exists(PAGE):
        with open(PAGE) as fh:
            old = fh.read()
    if sys.argv[1:] == ['--check']:
        if old != text:
            sys.exit('instructions.md: old; tools/gen_coverage.py writes it anew')
        return
    with open(PAGE, 'w') as fh:
        fh.write(text)


main()
