/* SPDX-License-Identifier: Apache-2.0 */
/* rt32: PVH entry, trap stubs, tried code, and the way to real mode and back. */
	.section .note.Xen, "a", @note
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start32
	.long 0

	.section .text.start, "ax"
	.code32
	.globl start32
start32:
	cli
	cld
	lgdt gdt_ptr
	ljmp $0x08, $1f
1:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	mov $0x33, %eax			/* NE ET MP PE */
	mov %eax, %cr0
	mov $boot_stack_top, %esp
	push $0
	popf
	call cpu_main
1:	hlt
	jmp 1b

	.section .rodata
gdt_ptr:
	.word 128 * 8 - 1
	.long gdt

	.bss
	.balign 16
	.skip 16384
boot_stack_top:

	.text
	.balign 16
	.globl trap_stubs
trap_stubs:
	.set v, 0
	.rept 256
	.balign 16
	.if !(v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30)
	push $0
	.endif
	push $v
	jmp trap_common
	.set v, v + 1
	.endr

trap_common:
	pusha
	push %ds
	push %es
	push %fs
	push %gs
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	cld
	push %esp
	call trap_entry
	pop %eax
	pop %gs
	pop %fs
	pop %es
	pop %ds
	popa
	add $8, %esp
	iret

/* u32 try_enter(fn, arg, uword *back_sp) */
	.globl try_enter, try_back, trap_leave
try_enter:
	mov 4(%esp), %eax
	mov 8(%esp), %ecx
	mov 12(%esp), %edx
	push %ebx
	push %ebp
	push %esi
	push %edi
	pushf
	mov %esp, (%edx)
	push %ecx
	call *%eax
	pop %ecx
	mov $-1, %eax
try_back:
	mov $0x10, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	mov %ecx, %fs
	mov %ecx, %gs
	popf
	pop %edi
	pop %esi
	pop %ebp
	pop %ebx
	ret
trap_leave:
	mov 8(%esp), %eax
	mov 4(%esp), %edx
	mov $0x10, %ecx
	mov %ecx, %ss
	mov %edx, %esp
	jmp try_back

/* void user_go(struct go *): eip, cs, eflags, esp, ss, es, ds, fs, gs; the last four for V86 */
	.globl user_go
user_go:
	mov 4(%esp), %edi
	testl $0x20000, 8(%edi)
	jz 1f
	push 32(%edi)
	push 28(%edi)
	push 24(%edi)
	push 20(%edi)
1:	push 16(%edi)
	push 12(%edi)
	push 8(%edi)
	push 4(%edi)
	push (%edi)
	testl $0x20000, 8(%edi)
	jnz 2f
	mov 20(%edi), %ecx
	mov %ecx, %es
	mov 24(%edi), %ecx
	mov %ecx, %ds
2:	iret
	.globl user_exit
user_exit:
	int $0x81

/* --- real mode: this part is copied to 0x6000 ---------------------------------------------- */
#define LOW(l) (0x6000 + (l) - low_start)
#define R(o) (0x5800 + (o))
	.globl low_start, low_end, real_enter, real_stub
low_start:
real_enter:				/* called at its low address, 32-bit */
	pusha
	pushf
	mov %esp, LOW(low_esp)
	sidt LOW(low_idt)
	lidt LOW(low_ivt)
	ljmp $0x1e0, $LOW(1f)
	.code16
1:	mov $0x1e8, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	mov %cr0, %eax
	and $0xfe, %al
	mov %eax, %cr0
	ljmp $0, $LOW(2f)
2:	mov %cs:R(40), %ss
	mov %cs:R(28), %esp
	pushw %cs:R(32)
	pushw %cs:R(42)
	pushw %cs:R(44)
	mov %cs:R(46), %fs
	mov %cs:R(48), %gs
	mov %cs:R(38), %es
	mov %cs:R(36), %ds
	mov %cs:R(0), %eax
	mov %cs:R(4), %ebx
	mov %cs:R(8), %ecx
	mov %cs:R(12), %edx
	mov %cs:R(16), %esi
	mov %cs:R(20), %edi
	mov %cs:R(24), %ebp
	iret

real_stub:				/* stack: vector, ip, cs, flags */
	popw %cs:R(50)
	popw %cs:R(44)
	popw %cs:R(42)
	popw %cs:R(32)
	mov %eax, %cs:R(0)
	mov %ebx, %cs:R(4)
	mov %ecx, %cs:R(8)
	mov %edx, %cs:R(12)
	mov %esi, %cs:R(16)
	mov %edi, %cs:R(20)
	mov %ebp, %cs:R(24)
	mov %esp, %cs:R(28)
	mov %ds, %cs:R(36)
	mov %es, %cs:R(38)
	mov %ss, %cs:R(40)
	mov %fs, %cs:R(46)
	mov %gs, %cs:R(48)
	cli
	cld
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $0x08, $LOW(3f)
	.code32
3:	mov $0x10, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	mov LOW(low_esp), %esp
	lidt LOW(low_idt)
	popf
	popa
	ret
	.balign 8
low_esp: .long 0
low_idt: .word 0
	.long 0, 0
	.balign 8
low_ivt: .word 0x3ff
	.long 0x5000
low_end:
