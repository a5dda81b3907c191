/* SPDX-License-Identifier: Apache-2.0 */
/* rt: the part that both widths share: console, verdicts, trap catcher, timer, APIC, exit. */
#include <stdarg.h>

#include "rt.h"

#define COM1		0x3f8
#define PORT_DEBUG_EXIT 0x501
#define PORT_PM		0x600

struct cpu cpus[MAX_CPUS];
static unsigned passed, failed, skipped, known;
static const char *excuse;

/* --- console -------------------------------------------------------------------------------- */

static void put(char c)
{
	if (c == '\n')
		put('\r');
	for (unsigned i = 0; i < 100000 && !(inb(COM1 + 5) & 0x20); i++)
		pause();
	outb(COM1, (u8)c);
}

static void put_str(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_num(u64 v, unsigned base, unsigned width)
{
	char buf[24];
	unsigned n = 0;

	/* 64-bit division needs libgcc in rt32: decimal is for small numbers. */
	if (base == 16) {
		do
			buf[n++] = "0123456789abcdef"[v & 15];
		while (v >>= 4);
	} else {
		u32 w = (u32)v;

		do
			buf[n++] = (char)('0' + w % 10);
		while (w /= 10);
	}
	for (; width > n; width--)
		put('0');
	while (n)
		put(buf[--n]);
}

static void vprint(const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		unsigned longs = 0, width = 0;

		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		for (fmt++; (*fmt >= '0' && *fmt <= '9') || *fmt == 'l'; fmt++) {
			if (*fmt == 'l')
				longs++;
			else
				width = width * 10 + (unsigned)(*fmt - '0');
		}
		if (*fmt == 's') {
			put_str(va_arg(ap, const char *));
		} else if (*fmt == 'c') {
			put((char)va_arg(ap, int));
		} else if (*fmt == '%') {
			put('%');
		} else {
			u64 v = longs == 2   ? va_arg(ap, unsigned long long)
				: longs == 1 ? va_arg(ap, unsigned long)
					     : va_arg(ap, unsigned);

			if (*fmt == 'd' && (int)v < 0) {
				put('-');
				v = -v;
			}
			put_num(v, *fmt == 'x' ? 16 : 10, width);
		}
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}

/* --- verdicts ------------------------------------------------------------------------------- */

void check(bool good, const char *name, const char *fmt, ...)
{
	va_list ap;

	print("%s %u %s",
	      good     ? "ok"
	      : excuse ? "known"
		       : "not ok",
	      passed + failed + known + 1, name);
	if (good) {
		passed++;
	} else if (excuse) {
		known++;
		print(" # QEMU: %s", excuse);
	} else {
		failed++;
		put_str(" # ");
		va_start(ap, fmt);
		vprint(fmt, ap);
		va_end(ap);
	}
	put('\n');
	excuse = NULL;
}

bool on_qemu(void)
{
	struct cpuid id = cpuid(0x40000000, 0);

	return id.b == 0x54474354 && id.c == 0x43544743; /* "TCGTCGTCGTCG" */
}

void qemu_differs(const char *why)
{
	if (on_qemu())
		excuse = why;
}

void skip(const char *name, const char *why)
{
	skipped++;
	print("skip %s # %s\n", name, why);
}

void section(const char *title)
{
	print("# %s\n", title);
}

void finish(void)
{
	print("holm-test: %u passed, %u failed, %u skipped, %u known\n", passed, failed, skipped,
	      known);
	for (unsigned i = 0; i < 100000 && !(inb(COM1 + 5) & 0x40); i++)
		pause();
	outl(PORT_DEBUG_EXIT, failed ? 1 : 0);
	outw(PORT_PM + 4, 5 << 10 | 1 << 13);
	for (;;)
		asm volatile("cli; hlt");
}

void die(const char *fmt, ...)
{
	va_list ap;

	put_str("not ok rt: ");
	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
	put('\n');
	failed++;
	finish();
}

void *memcpy(void *to, const void *from, size_t n)
{
	u8 *t = to;
	const u8 *f = from;

	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int c, size_t n)
{
	u8 *t = to;

	while (n--)
		*t++ = (u8)c;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

/* --- traps ---------------------------------------------------------------------------------- */

struct cpu *this_cpu(void)
{
	u16 tr;

	asm volatile("str %0" : "=r"(tr));
	return &cpus[tr < SEL_TSS(0) ? 0 : (tr - SEL_TSS(0)) / 16];
}

u32 try_enter(void (*fn)(void *), void *arg, uword *back_sp);
void try_back(void);

u32 try_run(void (*fn)(void *), void *arg)
{
	struct cpu *cpu = this_cpu();
	u32 vector;

	cpu->trap.vector = NO_TRAP;
	cpu->trap.error = 0;
	cpu->trying = true;
	vector = try_enter(fn, arg, &cpu->back_sp);
	cpu->trying = false;
	return vector;
}

void trap_entry(struct frame *frame);
void trap_entry(struct frame *frame)
{
	struct cpu *cpu = this_cpu();

	cpu->irqs[frame->vector & 255]++;
	if (cpu->hook && cpu->hook(frame))
		return;
	if (!cpu->trying)
		die("unexpected vector %u error %llx at %x:%llx, cr2 %llx, cpu %u",
		    (unsigned)frame->vector, (unsigned long long)frame->error, (unsigned)frame->cs,
		    (unsigned long long)frame->rip, (unsigned long long)read_cr2(), cpu->index);
	cpu->trap.vector = (u32)frame->vector;
	cpu->trap.error = frame->error;
	cpu->trap.cr2 = read_cr2();
	cpu->trap.frame = *frame;
	cpu->trap.stack = (uword)frame;
	cpu->trying = false;
#ifdef __x86_64__
	frame->rip = (uword)try_back;
	frame->cs = SEL_CODE;
	frame->ss = SEL_DATA;
	frame->rsp = cpu->back_sp;
	frame->rflags = 2;
	frame->rax = frame->vector == VEC_DONE ? NO_TRAP : frame->vector;
#else
	{
		/* The frame may have come from anywhere: leave on a fresh same-ring frame. */
		void trap_leave(uword sp, u32 value) __attribute__((noreturn));

		trap_leave(cpu->back_sp, frame->vector == VEC_DONE ? NO_TRAP : frame->vector);
	}
#endif
}

static void expect_vector(const char *name, u32 got, u32 vector, u64 error)
{
	const struct trap *trap = &this_cpu()->trap;

	if (got != vector)
		check(false, name, "vector %d (error %llx, rip %llx), want %d", (int)got,
		      (unsigned long long)trap->error, (unsigned long long)trap->frame.rip,
		      (int)vector);
	else
		check(vector == NO_TRAP || trap->error == error, name, "error code %llx, want %llx",
		      (unsigned long long)trap->error, (unsigned long long)error);
}

void expect(const char *name, u32 vector, u64 error, void (*fn)(void *), void *arg)
{
	expect_vector(name, try_run(fn, arg), vector, error);
}

void expect_user(const char *name, u32 vector, u64 error, void (*fn)(void *), void *arg)
{
	expect_vector(name, user_run(fn, arg), vector, error);
}

/* --- descriptors ---------------------------------------------------------------------------- */

void gdt_set(u16 selector, u32 base, u32 limit, u8 access, u8 flags)
{
	gdt[selector / 8] = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 |
			    (u64)(limit >> 16 & 15) << 48 | (u64)(flags & 15) << 52 |
			    (u64)(base >> 24) << 56;
}

/* --- memory, time, APIC --------------------------------------------------------------------- */

extern u8 image_end[];

void *page_alloc(void)
{
	static uword next;
	uword page;

	if (!next)
		next = ((uword)image_end + 0xfff) & ~0xffful;
	page = next;
	next += 4096;
	return memset((void *)page, 0, 4096);
}

void delay_us(u32 us)
{
	u32 last = inl(PORT_PM + 8), passed_ticks = 0;

	/* 3.579545 ticks in a microsecond */
	while (passed_ticks < us * 3 + us / 2 + us / 12) {
		u32 now = inl(PORT_PM + 8);

		passed_ticks += (now - last) & 0xffffff;
		last = now;
		pause();
	}
}

static bool x2apic_on(void)
{
	return rdmsr(MSR_APICBASE) & (1u << 10);
}

u32 apic_read(u32 reg)
{
	if (x2apic_on())
		return (u32)rdmsr(0x800 + reg / 16);
	return *(volatile u32 *)(uword)(0xfee00000u + reg);
}

void apic_write(u32 reg, u32 value)
{
	if (x2apic_on())
		wrmsr(0x800 + reg / 16, value);
	else
		*(volatile u32 *)(uword)(0xfee00000u + reg) = value;
}

void apic_enable(void)
{
	apic_write(APIC_SVR, 0x1ff);
	apic_write(APIC_TPR, 0);
}

void apic_ipi(u32 apic_id, u32 low)
{
	if (x2apic_on()) {
		wrmsr(0x830, low | (u64)apic_id << 32);
		return;
	}
	apic_write(APIC_ICR2, apic_id << 24);
	apic_write(APIC_ICR, low);
	for (unsigned i = 0; i < 1000000 && apic_read(APIC_ICR) & 0x1000; i++)
		pause();
}

void rt_main(void);
void rt_main(void)
{
	outb(COM1 + 1, 0);
	outb(0x21, 0xff); /* PICs masked: the suites use the APIC */
	outb(0xa1, 0xff);
	suite();
	finish();
}
