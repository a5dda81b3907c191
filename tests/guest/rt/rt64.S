/* SPDX-License-Identifier: Apache-2.0 */
/* rt64: PVH entry to long mode, trap stubs, the way into and out of tried code, AP start. */
	.section .note.Xen, "a", @note
	.long 4, 8, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad start32

	.section .text.start, "ax"
	.code32
	.globl start32
start32:
	cli
	cld
	/* 0..1 GiB in 2 MiB pages; 3..4 GiB uncached */
	mov $boot_pd0, %edi
	mov $0x87, %eax
	mov $512, %ecx
1:	mov %eax, (%edi)
	movl $0, 4(%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 1b
	mov $boot_pd3, %edi
	mov $0xc0000093, %eax
	mov $512, %ecx
1:	mov %eax, (%edi)
	movl $0, 4(%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 1b
	movl $boot_pdpt + 7, boot_pml4
	movl $boot_pd0 + 3, boot_pdpt
	movl $boot_pd0 + 7, boot_pdpt + 8
	movl $boot_pd3 + 3, boot_pdpt + 24
	lgdt gdt32_ptr
	mov $boot_stack_top, %esp
	xor %ebp, %ebp			/* CPU 0 */
	.globl enter_long
enter_long:
	mov $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov $boot_pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x901, %eax			/* SCE, LME, NXE */
	wrmsr
	mov $0x80010033, %eax		/* PG WP NE ET MP PE */
	mov %eax, %cr0
	ljmp $0x08, $start64

	.code64
start64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov %esp, %esp
	mov %ebp, %edi
	push $0
	popfq
	call cpu_main
1:	hlt
	jmp 1b

	.section .rodata
	.globl gdt32_ptr
gdt32_ptr:
	.word 128 * 8 - 1
	.long gdt
	.long 0

/* Other CPUs: copied to 0x8000, entered in real mode by SIPI vector 8. */
	.globl ap_start, ap_end
	.code16
ap_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl 0x8000 + ap_gdt_ptr - ap_start
	mov %cr0, %eax
	and $0x9fffffff, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $0x18, $0x8000 + ap32 - ap_start
	.code32
ap32:
	mov $0x10, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $1, %ebp
	lock xadd %ebp, ap_ticket
	mov %ebp, %esp
	shl $14, %esp
	add $ap_stacks, %esp
	mov $enter_long, %eax
	jmp *%eax
	.balign 4
ap_gdt_ptr:
	.word 128 * 8 - 1
	.long gdt
ap_end:
	.code64

	.data
	.globl ap_ticket
ap_ticket:
	.long 1

	.bss
	.balign 4096
	.globl boot_pml4
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd0: .skip 4096
boot_pd3: .skip 4096
	.skip 16384
boot_stack_top:
ap_stacks:
	.skip 16384 * 8

	.text
/* One stub of 16 bytes per vector. */
	.balign 16
	.globl trap_stubs
trap_stubs:
	.set v, 0
	.rept 256
	.balign 16
	.if !(v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30)
	push $0
	.endif
	.if v < 128
	push $v
	.else
	pushq $v
	.endif
	jmp trap_common
	.set v, v + 1
	.endr

trap_common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $-16, %rsp
	call trap_entry
	mov %rbp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

/* u32 try_enter(fn, arg, uword *back_sp) */
	.globl try_enter, try_back
try_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	pushfq
	mov %rsp, (%rdx)
	mov %rdi, %rax
	mov %rsi, %rdi
	call *%rax
	mov $-1, %eax
try_back:
	mov $0x10, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	popfq
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

/* void user_go(struct go *): rip, cs, rflags, rsp, ss, rdi */
	.globl user_go
user_go:
	/* user data segments: a return to CPL3 drops those of CPL0, and 32-bit code needs them */
	mov $0x2b, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	pushq 32(%rdi)
	pushq 24(%rdi)
	pushq 16(%rdi)
	pushq 8(%rdi)
	pushq (%rdi)
	mov 40(%rdi), %rdi
	iretq

/* Where a function tried at CPL3 returns to. */
	.globl user_exit
user_exit:
	int $0x81
	ud2
