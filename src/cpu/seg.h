/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seg: descriptors and segment registers (SDM 3A 3.4, 5).
 *
 * Reads descriptors from the GDT and the current LDT, keeps their accessed and busy bits, loads
 * data segments with the checks of MOV Sreg, and checks accesses that are not flat (seg_check of
 * mem.h lives in seg.c).
 *
 * Entered by: instruction bodies of this floor. Owns nothing. All calls may raise.
 * Context: vcpu.
 */
#ifndef CPU_SEG_H
#define CPU_SEG_H

#include "cpu/cpu.h"

/* Types of system descriptors (SDM 3A table 3-2); the 32-bit ones are the 64-bit ones too. */
#define DT_TSS16_AVL  0x1u
#define DT_LDT	      0x2u
#define DT_TSS16_BUSY 0x3u
#define DT_CALL16     0x4u
#define DT_TASK	      0x5u
#define DT_INT16      0x6u
#define DT_TRAP16     0x7u
#define DT_TSS_AVL    0x9u
#define DT_TSS_BUSY   0xbu
#define DT_CALL	      0xcu
#define DT_INT	      0xeu
#define DT_TRAP	      0xfu

/* Bits of struct cpu_segment.ar for code and data segments (table 3-1). */
#define AR_ACCESSED   0x01u
#define AR_WRITABLE   0x02u /* data */
#define AR_READABLE   0x02u /* code */
#define AR_DOWN	      0x04u /* data: expand-down */
#define AR_CONFORMING 0x04u /* code */
#define AR_CODE	      0x08u

#define AR_REAL 0x93u /* what a real-mode load leaves: present, writable, accessed */
#define AR_V86	0xf3u

/* A descriptor as it is in memory, and where. */
struct desc {
	u64 raw;
	u64 la;
	u16 sel;
};

static inline u32 desc_ar(u64 raw)
{
	return (u32)(raw >> 40) & 0xf0ff;
}

static inline u64 desc_base(u64 raw)
{
	return (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000);
}

static inline u32 desc_limit(u64 raw)
{
	u32 limit = (u32)(raw & 0xffff) | (u32)(raw >> 32 & 0xf0000);
	return raw >> 55 & 1 ? limit << 12 | 0xfff : limit;
}

/* S and type: 0..15 system, 16..31 code and data. */
static inline unsigned desc_type(u64 raw)
{
	return raw >> 40 & 0x1f;
}

static inline unsigned desc_dpl(u64 raw)
{
	return raw >> 45 & 3;
}

static inline bool desc_present(u64 raw)
{
	return raw >> 47 & 1;
}

static inline unsigned ar_dpl(u32 ar)
{
	return ar >> AR_DPL_SHIFT & 3;
}

static inline bool ar_is_code(u32 ar)
{
	return (ar & (AR_S | AR_CODE)) == (AR_S | AR_CODE);
}

static inline bool ar_is_writable_data(u32 ar)
{
	return (ar & (AR_S | AR_CODE | AR_WRITABLE)) == (AR_S | AR_WRITABLE);
}

static inline bool ar_is_conforming(u32 ar)
{
	return (ar & (AR_S | AR_CODE | AR_CONFORMING)) == (AR_S | AR_CODE | AR_CONFORMING);
}

static inline bool sel_is_null(u16 sel)
{
	return !(sel & 0xfffc);
}

/* Error code that names a selector; ext: 1 while an event is being delivered. */
static inline u32 sel_error(u16 sel, u32 ext)
{
	return (sel & 0xfffcu) | ext;
}

static inline bool is_canonical(u64 la)
{
	return (u64)((s64)(la << 16) >> 16) == la;
}

/* Model says AuthenticAMD: the few places where the vendors' manuals disagree. */
bool cpu_is_amd(const struct cpu *c);

/* Linear address of base + off for system structures: wraps at 4 GiB outside long mode. */
static inline u64 sys_la(const struct cpu *c, u64 base, u64 off)
{
	return c->mode & MODE_LMA ? base + off : (u32)(base + off);
}

/* False when sel lies outside its table (or the LDT is null). Raises #PF only. */
bool desc_find(struct cpu *c, u16 sel, struct desc *out);
/* The same; outside raises `vector` with sel's error code. */
void desc_read(struct cpu *c, u16 sel, unsigned vector, u32 ext, struct desc *out);
/* Upper half of a 16-byte system descriptor. Outside the table raises `vector`. */
u64 desc_read_high(struct cpu *c, const struct desc *d, unsigned vector, u32 ext);
/* Sets the accessed bit of a code or data descriptor in memory (and in d), if it is clear. */
void desc_touch(struct cpu *c, struct desc *d);
/* Atomically sets or clears the TSS busy bit; returns whether it was set. */
bool desc_set_busy(struct cpu *c, u64 la, bool busy);

/* Fills s from a descriptor. */
void seg_fill(struct cpu_segment *s, u16 sel, u64 raw);
/* A null selector: unusable. SS keeps its DPL, which is the CPL. */
void seg_set_null(struct cpu_segment *s, u16 sel, unsigned dpl);
/* Real and virtual-8086 mode loads. */
void seg_set_real(struct cpu_segment *s, u16 sel);
void seg_set_v86(struct cpu_segment *s, u16 sel);

/* Checks sel for SS at privilege cpl and fills *out (SDM 3A 5.7): index, type, DPL, RPL faults
 * raise `vector`, not present #SS. Null is the caller's. */
void seg_check_ss(struct cpu *c, u16 sel, unsigned cpl, unsigned vector, u32 ext,
		  struct cpu_segment *out);
/* Checks sel for DS, ES, FS, GS at privilege cpl and fills *out; not present raises #NP. */
void seg_check_data(struct cpu *c, u16 sel, unsigned cpl, unsigned vector, u32 ext,
		    struct cpu_segment *out);

/* MOV Sreg, POP Sreg, LxS: loads SS, DS, ES, FS or GS in any mode. */
void seg_load(struct cpu *c, unsigned seg, u16 sel);
/* After CPL went up in number: makes segments the new level may not use null (RET, IRET). */
void seg_drop_privileged(struct cpu *c);

/* Whether [off, off+size) lies inside s. */
bool seg_in_limit(const struct cpu_segment *s, u64 off, unsigned size);

#endif
