/* SPDX-License-Identifier: Apache-2.0 */
/*
 * insn: one decoded instruction, and the table of instruction forms it comes from.
 *
 * The table is src/cpu/table/ *.def, read at build time by tools/gen_insn.py, which writes
 * insn_forms.h (the enum and body names) and insn_forms.c (the forms, sorted by map and opcode).
 * See table/README.md for the notation.
 *
 * Entered by: the decoder, the interpreter bodies, engine/soft, the differential fuzzer.
 * Freestanding, no state.
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include "cpu/features.h"
#include "cpu/state.h"
#include "lib/types.h"

struct cpu;
struct insn;

typedef void insn_fn(struct cpu *c, const struct insn *in);

/* An instruction's body by operand size and operand kind: f[size_index * 2 + is_mem], size_index 0
 * for 1 byte .. 3 for 8. Bodies that do not care have the same pointer eight times. */
struct insn_body {
	insn_fn *f[8];
};

/* Decoding environment, part of the key of every decoded block. */
#define MODE_CPL     0x0003u /* current privilege level */
#define MODE_64	     0x0004u /* CS.L with EFER.LMA */
#define MODE_CS32    0x0008u /* CS.D: default operand and address size 32 */
#define MODE_SS32    0x0010u /* SS.B: stack address size 32 (ignored in MODE_64) */
#define MODE_PE	     0x0020u /* protected mode */
#define MODE_VM	     0x0040u /* virtual-8086 */
#define MODE_LMA     0x0080u /* EFER.LMA */
#define MODE_TS	     0x0100u /* CR0.TS */
#define MODE_EM	     0x0200u /* CR0.EM */
#define MODE_OSFXSR  0x0400u /* CR4.OSFXSR */
#define MODE_AVX     0x0800u /* CR4.OSXSAVE and XCR0[2:1] = 11b */
#define MODE_OSXSAVE 0x1000u /* CR4.OSXSAVE */
#define MODE_STEP    0x2000u /* one instruction per block: TF or an armed breakpoint */

/* struct insn.pfx */
#define PFX_LOCK  0x01u
#define PFX_REP	  0x02u /* F3 */
#define PFX_REPNE 0x04u /* F2 */
#define PFX_66	  0x08u
#define PFX_REX	  0x10u
#define PFX_VEX	  0x20u
#define PFX_MEM	  0x40u /* ModRM names memory */
#define PFX_W	  0x80u /* REX.W or VEX.W */

/* Byte offsets into struct cpu's register file (which starts the struct). */
#define REG_OFF(n)   ((u8)((n)*8))
#define REG_OFF_ZERO REG_OFF(16) /* a slot that reads 0 */

struct insn {
	insn_fn *fn;
	u64 imm;  /* immediate, sign-extended; for near branches the target RIP */
	s64 disp; /* displacement; RIP-relative ones have the base folded in; moffs */
	u16 form; /* index into insn_forms */
	u16 off;  /* bytes from the block's first instruction */
	u8 len;	  /* 1..15 */
	u8 pfx;
	u8 osz;	 /* operand size in bytes: 1, 2, 4, 8 */
	u8 asz;	 /* address size in bytes: 2, 4, 8 */
	u8 seg;	 /* effective segment of the memory operand, enum cpu_seg */
	u8 base; /* register offset, REG_OFF_ZERO if none */
	u8 index;
	u8 scale; /* shift count 0..3 */
	u8 greg;  /* register offset of ModRM.reg (or the +r register); high-byte forms resolved */
	u8 ereg;  /* register offset of ModRM.rm when it is a register */
	u8 reg;	  /* ModRM.reg with REX.R: 0..15 */
	u8 rm;	  /* ModRM.rm with REX.B: 0..15; for +r forms the register */
	u8 vvvv;  /* VEX.vvvv, 0..15 */
	u8 vl;	  /* vector length in bytes: 16 or 32 (VEX), 16 otherwise */
	u8 imm2;  /* second immediate: ENTER's level; /is4 register */
	u8 opcode;
	u8 modrm;
	u8 segpfx; /* segment override as given, 0xff if none */
	u8 spare[2];
};

/* enum insn_state: which state a form touches, so which CR bits guard it. */
enum insn_state { IST_INT, IST_X87, IST_MMX, IST_SSE, IST_AVX };

/* struct insn_form.attr */
#define IA_MODRM  0x0001u
#define IA_LOCK	  0x0002u /* LOCK allowed with a memory destination */
#define IA_PRIV	  0x0004u /* CPL 0 only, else #GP(0) */
#define IA_PROT	  0x0008u /* #UD in real and virtual-8086 mode */
#define IA_D64	  0x0010u /* operand size defaults to 64 in 64-bit mode */
#define IA_F64	  0x0020u /* operand size is 64 in 64-bit mode */
#define IA_END	  0x0040u /* ends a block: changes RIP or what decoding depends on */
#define IA_THUNK  0x0080u /* executed by a native thunk */
#define IA_PLUSR  0x0100u /* register in the low opcode bits */
#define IA_ALIGN  0x0200u /* memory operand must be aligned to its size (#GP) */
#define IA_NOPFX  0x0400u /* VEX.vvvv must be 1111b (kept for VEX forms without H) */
#define IA_STRING 0x0800u /* REP prefixes repeat it */
#define IA_REG	  0x1000u /* register form only (ModRM.mod ignored: MOV CR/DR) */
#define IA_NOFUZZ 0x2000u /* not executable at CPL 3, or not deterministic there */
#define IA_VSIB	  0x4000u

enum insn_imm {
	IMM_NONE,
	IMM_B,
	IMM_BU,
	IMM_W,
	IMM_Z,
	IMM_V,
	IMM_D,
	IMM_JB,
	IMM_JZ,
	IMM_MOFFS,
	IMM_FAR,
	IMM_WB /* ENTER */,
	IMM_IS4
};
/* Operand-size rules. */
enum insn_osz { OSZ_B, OSZ_W, OSZ_D, OSZ_Q, OSZ_V, OSZ_Y };

/* Operand kinds, for the fuzzer, the thunk driver and later the translator. */
enum insn_opk {
	OP_NONE,
	OP_E,
	OP_G,
	OP_M,
	OP_R,
	OP_I,
	OP_J,
	OP_O,
	OP_Z,
	OP_SREG,
	OP_CR,
	OP_DR,
	OP_FAR,
	OP_X,
	OP_Y,
	OP_FIXED,
	OP_V,
	OP_W,
	OP_U,
	OP_H,
	OP_L,
	OP_P,
	OP_Q,
	OP_N,
	OP_ST,
	OP_VM /* vector-indexed memory */,
	OP_VREG /* general register in VEX.vvvv */
};
/* Operand widths: low = bytes of a fixed size; the codes above 64 depend on the encoding. */
enum insn_opw {
	OPW_0 = 0,
	OPW_V = 0x80,
	OPW_Z,
	OPW_Y,
	OPW_X /* 16 or 32 by VEX.L */,
	OPW_H /* half of X */,
	OPW_QTR /* quarter of X */,
	OPW_EIGHTH,
	OPW_P /* far pointer */,
	OPW_A,
	OPW_S /* descriptor-table register image */
};
#define OPA_R 1u
#define OPA_W 2u

/* Which register an OP_FIXED is; the table's names. */
enum insn_fixed {
	FX_NONE,
	FX_1,
	FX_AL,
	FX_CL,
	FX_AX,
	FX_DX,
	FX_ECX,
	FX_rAX, /* by operand size */
	FX_ES,
	FX_CS,
	FX_SS,
	FX_DS,
	FX_FS,
	FX_GS,
	FX_ST0,
	FX_XMM0
};

struct insn_operand {
	u8 kind, width, access, fixed;
};

struct insn_form {
	const char *name;
	const struct insn_body *body;
	u16 attr;
	u8 map; /* 0 legacy one-byte, 1 0F, 2 0F38, 3 0F3A, 4..6 VEX of those */
	u8 opcode;
	u8 pfx_mask;  /* bit 0 none, 1 66, 2 F3, 3 F2 */
	u8 reg_mask;  /* allowed ModRM.reg values */
	u8 rm_mask;   /* allowed ModRM.rm values (register forms) */
	u8 mod_mask;  /* bit 0 memory, bit 1 register */
	u8 w_mask;    /* bit per W value */
	u8 l_mask;    /* bit per VEX.L value */
	u8 mode_mask; /* bit 0 outside 64-bit mode, bit 1 in 64-bit mode */
	u8 imm, osz, state;
	u8 feature;  /* enum cpu_feature, CPU_FEAT_COUNT = none; for VEX.L = 0 */
	u8 feature1; /* for VEX.L = 1 */
	u8 operands;
	struct insn_operand op[4];
	u8 fl_read, fl_write, fl_undef; /* bit 0 CF, 1 PF, 2 AF, 3 ZF, 4 SF, 5 OF */
};

extern const struct insn_form insn_forms[];
extern const unsigned insn_form_count;
/* First form of (map, opcode); the next entry is one past the last. */
extern const u16 insn_first[7][257];

/* insn_decode results */
#define INSN_OK	      0
#define INSN_MORE     1 /* needs more bytes than given */
#define INSN_UD	      2 /* #UD */
#define INSN_TOO_LONG 3 /* over 15 bytes: #GP(0) */

/*
 * Decodes one instruction at `rip` in `mode`. bytes/avail: what is readable, 15 is always enough.
 * features: bit per enum cpu_feature. Fills everything but fn and off. On INSN_UD `len` holds the
 * bytes looked at.
 */
int insn_decode(struct insn *out, const u8 *bytes, unsigned avail, u64 rip, u32 mode, u64 features);

#endif
