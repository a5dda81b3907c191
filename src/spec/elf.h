/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf: the parts of 64- and 32-bit ELF a kernel loader needs.
 *
 * Source: System V ABI, gABI chapters 4 and 5 (object files, program header, note section).
 */
#ifndef SPEC_ELF_H
#define SPEC_ELF_H

#include "lib/types.h"

#define ELF_MAGIC      0x464c457fu /* 7f 'E' 'L' 'F' */
#define ELFCLASS32     1
#define ELFCLASS64     2
#define ELFDATA2LSB    1
#define ELF_ET_EXEC    2
#define ELF_ET_DYN     3
#define ELF_EM_386     3
#define ELF_EM_ARM     40
#define ELF_EM_X86_64  62
#define ELF_EM_AARCH64 183
#define ELF_EM_RISCV   243
#define ELF_PT_LOAD    1u
#define ELF_PT_NOTE    4u

struct elf64_ehdr {
	le32 magic;
	u8 class;
	u8 data;
	u8 version;
	u8 osabi;
	u8 pad[8];
	le16 type;
	le16 machine;
	le32 version2;
	le64 entry;
	le64 phoff;
	le64 shoff;
	le32 flags;
	le16 ehsize;
	le16 phentsize;
	le16 phnum;
	le16 shentsize;
	le16 shnum;
	le16 shstrndx;
} packed_struct;

struct elf64_phdr {
	le32 type;
	le32 flags;
	le64 offset;
	le64 vaddr;
	le64 paddr;
	le64 filesz;
	le64 memsz;
	le64 align;
} packed_struct;

struct elf32_ehdr {
	le32 magic;
	u8 class;
	u8 data;
	u8 version;
	u8 osabi;
	u8 pad[8];
	le16 type;
	le16 machine;
	le32 version2;
	le32 entry;
	le32 phoff;
	le32 shoff;
	le32 flags;
	le16 ehsize;
	le16 phentsize;
	le16 phnum;
	le16 shentsize;
	le16 shnum;
	le16 shstrndx;
} packed_struct;

struct elf32_phdr {
	le32 type;
	le32 offset;
	le32 vaddr;
	le32 paddr;
	le32 filesz;
	le32 memsz;
	le32 flags;
	le32 align;
} packed_struct;

struct elf_nhdr {
	le32 namesz;
	le32 descsz;
	le32 type;
} packed_struct;

_Static_assert(sizeof(struct elf64_ehdr) == 64, "gABI 4");
_Static_assert(sizeof(struct elf64_phdr) == 56, "gABI 5");
_Static_assert(sizeof(struct elf32_ehdr) == 52, "gABI 4");
_Static_assert(sizeof(struct elf32_phdr) == 32, "gABI 5");
_Static_assert(sizeof(struct elf_nhdr) == 12, "gABI 5");

#endif
