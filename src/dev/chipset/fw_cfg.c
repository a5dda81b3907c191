/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fw_cfg: key selector, byte-wise data port and DMA.
 *
 * Items are copies made at open; the guest reads them at an offset that it moves itself. Everything
 * a DMA request says is checked: key, length, addresses. Entered by vCPU threads with our lock held
 * by the bus. All multi-byte fields of the interface are big-endian.
 */
#include "dev/chipset/fw_cfg.h"

#include <stdlib.h>
#include <string.h>

#include "board/layout.h"
#include "host/fail.h"
#include "lib/bits.h"

#define ID_VERSION 1u
#define ID_DMA	   2u

#define DMA_ERROR  0x01u
#define DMA_READ   0x02u
#define DMA_SKIP   0x04u
#define DMA_SELECT 0x08u
#define DMA_WRITE  0x10u

#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */
#define DIR_ENTRY     64u
#define CHUNK	      4096u

enum { REG_SELECT = 0, REG_DATA = 1, REG_DMA_HIGH = 4, REG_DMA_LOW = 8, REG_SIZE = 12 };

struct fw_cfg_item {
	u8 *data;
	u32 len;
	char name[FW_CFG_NAME_MAX + 1];
	void (*written)(void *arg, const u8 *data, u32 len);
	void *arg;
};

struct fw_cfg {
	struct device dev;
	pthread_mutex_t lock;
	struct bus_region region;
	struct fw_cfg_item key[FW_CFG_FILES + FW_CFG_FILES_MAX];
	unsigned files;
	u16 selected;
	u32 offset;
	u64 dma_addr;
};

struct fw_cfg_dma {
	u32 control; /* big-endian on the wire */
	u32 len;
	u64 addr;
};

/* ---- items ---- */

static int item_set(struct fw_cfg_item *item, const void *data, u32 len)
{
	u8 *copy = malloc(len ? len : 1);

	if (!copy)
		return FAIL(-ENOMEM, "fw_cfg: no memory for %u bytes", len);
	if (len)
		memcpy(copy, data, len);
	free(item->data);
	item->data = copy;
	item->len = len;
	return 0;
}

static void st32_be(u8 *p, u32 v)
{
	st32(p, __builtin_bswap32(v));
}

/* Rebuilds the directory item: count, then size, key, name of each file. */
static int directory_build(struct fw_cfg *f)
{
	u8 dir[4 + DIR_ENTRY * FW_CFG_FILES_MAX] = {0};
	u8 *entry = dir + 4;

	st32_be(dir, f->files);
	for (unsigned i = 0; i < f->files; i++, entry += DIR_ENTRY) {
		const struct fw_cfg_item *item = &f->key[FW_CFG_FILES + i];

		st32_be(entry, item->len);
		st16(entry + 4, __builtin_bswap16((u16)(FW_CFG_FILES + i)));
		memcpy(entry + 8, item->name, sizeof(item->name));
	}
	return item_set(&f->key[FW_CFG_FILE_DIR], dir, 4 + DIR_ENTRY * f->files);
}

int fw_cfg_add_key(struct device *dev, u16 key, const void *data, u32 len)
{
	struct fw_cfg *f = (struct fw_cfg *)dev;

	if (key >= FW_CFG_FILES)
		return FAIL(-EINVAL, "fw_cfg: key 0x%x belongs to files", key);
	if (f->key[key].data)
		return FAIL(-EEXIST, "fw_cfg: key 0x%x is taken", key);
	return item_set(&f->key[key], data, len);
}

int fw_cfg_add_writable(struct device *dev, const char *name, const void *data, u32 len,
			void (*written)(void *arg, const u8 *data, u32 len), void *arg)
{
	struct fw_cfg *f = (struct fw_cfg *)dev;
	struct fw_cfg_item *item;
	unsigned i;
	int rc;

	if (strlen(name) > FW_CFG_NAME_MAX)
		return FAIL(-EINVAL, "fw_cfg: name %s is longer than %d", name, FW_CFG_NAME_MAX);
	for (i = 0; i < f->files; i++)
		if (!strcmp(f->key[FW_CFG_FILES + i].name, name))
			break;
	if (i == FW_CFG_FILES_MAX)
		return FAIL(-ENOSPC, "fw_cfg: more than %d files", FW_CFG_FILES_MAX);
	item = &f->key[FW_CFG_FILES + i];
	rc = item_set(item, data, len);
	if (rc)
		return rc;
	strcpy(item->name, name);
	item->written = written;
	item->arg = arg;
	if (i == f->files)
		f->files++;
	return directory_build(f);
}

int fw_cfg_add_file(struct device *dev, const char *name, const void *data, u32 len)
{
	return fw_cfg_add_writable(dev, name, data, len, NULL, NULL);
}

/* ---- reading (lock held) ---- */

static struct fw_cfg_item *item_selected(struct fw_cfg *f)
{
	struct fw_cfg_item *item;

	if (f->selected >= ARRAY_LEN(f->key))
		return NULL;
	item = &f->key[f->selected];
	return item->data ? item : NULL;
}

static void item_select(struct fw_cfg *f, u16 key)
{
	f->selected = key & 0x3fff; /* bits 14 and 15: write mode and architecture, unused */
	f->offset = 0;
}

/* Bytes left to read of the selected item. */
static u32 item_left(struct fw_cfg *f)
{
	struct fw_cfg_item *item = item_selected(f);

	return item && f->offset < item->len ? item->len - f->offset : 0;
}

static u8 data_read(struct fw_cfg *f)
{
	return item_left(f) ? item_selected(f)->data[f->offset++] : 0;
}

/* ---- DMA (lock held) ---- */

/* Past its end an item reads as zero. */
static int dma_read(struct fw_cfg *f, u64 addr, u32 len)
{
	static const u8 zero[CHUNK];
	struct ram *ram = &f->dev.board->ram;

	while (len) {
		u32 left = item_left(f), n = len < CHUNK ? len : CHUNK;
		const u8 *src = zero;

		if (left) {
			n = n < left ? n : left;
			src = item_selected(f)->data + f->offset;
		}
		if (ram_write(ram, addr, src, n))
			return -EFAULT;
		f->offset += left ? n : 0;
		addr += n;
		len -= n;
	}
	return 0;
}

static int dma_write(struct fw_cfg *f, u64 addr, u32 len)
{
	struct fw_cfg_item *item = item_selected(f);

	if (!item || !item->written || len > item_left(f))
		return -EPERM;
	if (ram_read(&f->dev.board->ram, addr, item->data + f->offset, len))
		return -EFAULT;
	f->offset += len;
	item->written(item->arg, item->data, item->len);
	return 0;
}

static void dma_run(struct fw_cfg *f, u64 request)
{
	struct ram *ram = &f->dev.board->ram;
	struct fw_cfg_dma dma;
	u32 control, len, left;
	u64 addr;
	int rc = 0;

	if (ram_read(ram, request, &dma, sizeof(dma)))
		return; /* nowhere to report to */
	control = __builtin_bswap32(dma.control);
	len = __builtin_bswap32(dma.len);
	addr = __builtin_bswap64(dma.addr);
	if (control & DMA_SELECT)
		item_select(f, (u16)(control >> 16));
	if (control & DMA_READ) {
		rc = dma_read(f, addr, len);
	} else if (control & DMA_WRITE) {
		rc = dma_write(f, addr, len);
	} else if (control & DMA_SKIP) {
		left = item_left(f);
		f->offset += len < left ? len : left;
	}
	control = __builtin_bswap32(rc ? DMA_ERROR : 0);
	ram_write(ram, request, &control, sizeof(control));
}

/* ---- registers (lock held by the bus) ---- */

static u64 fw_cfg_read(void *arg, u64 off, unsigned size)
{
	struct fw_cfg *f = arg;

	if (off >= REG_DMA_HIGH) {
		u64 value = 0;

		for (unsigned i = 0; i < size && off - REG_DMA_HIGH + i < 8; i++)
			value |= (DMA_SIGNATURE >> (7 - (off - REG_DMA_HIGH + i)) * 8 & 0xff)
				 << i * 8;
		return value;
	}
	/* the data port is one byte wide; a word at the selector reads nothing */
	return off == REG_DATA ? data_read(f) : 0;
}

static void fw_cfg_write(void *arg, u64 off, unsigned size, u64 value)
{
	struct fw_cfg *f = arg;

	if (off == REG_SELECT && size == 2) {
		item_select(f, (u16)value);
	} else if (off == REG_DMA_HIGH && size == 4) {
		f->dma_addr = (u64)__builtin_bswap32((u32)value) << 32;
	} else if (off == REG_DMA_LOW && size == 4) {
		u64 request = f->dma_addr | __builtin_bswap32((u32)value);

		f->dma_addr = 0;
		dma_run(f, request);
	}
}

/* ---- life ---- */

static void fw_cfg_reset(struct device *dev)
{
	struct fw_cfg *f = (struct fw_cfg *)dev;

	pthread_mutex_lock(&f->lock);
	item_select(f, FW_CFG_SIGNATURE);
	f->dma_addr = 0;
	pthread_mutex_unlock(&f->lock);
}

static void fw_cfg_close(struct device *dev)
{
	struct fw_cfg *f = (struct fw_cfg *)dev;

	bus_remove(dev->board->bus, BUS_PIO, &f->region);
	for (unsigned i = 0; i < ARRAY_LEN(f->key); i++)
		free(f->key[i].data);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static bool fw_cfg_describe(unused_arg const struct device *dev, struct device_desc *desc)
{
	*desc = (struct device_desc){.hid = "QEMU0002", .res_count = 1};
	desc->res[0] = (struct board_resource){BOARD_RES_PIO, LAYOUT_PORT_FW_CFG, REG_SIZE};
	return true;
}

static const struct state_field fw_cfg_fields[] = {
	STATE_FIELD(struct fw_cfg, selected, 1),
	STATE_FIELD(struct fw_cfg, offset, 1),
	STATE_FIELD(struct fw_cfg, dma_addr, 1),
	STATE_END,
};

static const struct device_class fw_cfg_class = {
	.name = "fw-cfg",
	.close = fw_cfg_close,
	.reset = fw_cfg_reset,
	.fields = fw_cfg_fields,
	.describe = fw_cfg_describe,
};

int fw_cfg_open(struct board *board, struct device **out)
{
	struct fw_cfg *f = calloc(1, sizeof(*f));
	u8 id[4];
	int rc;

	if (!f)
		return FAIL(-ENOMEM, "fw_cfg: out of memory");
	f->dev = (struct device){.cls = &fw_cfg_class, .board = board};
	pthread_mutex_init(&f->lock, NULL);
	st32(id, ID_VERSION | ID_DMA);
	rc = fw_cfg_add_key(&f->dev, FW_CFG_SIGNATURE, "QEMU", 4);
	if (!rc)
		rc = fw_cfg_add_key(&f->dev, FW_CFG_ID, id, sizeof(id));
	if (!rc)
		rc = directory_build(f);
	if (rc)
		goto free_items;
	f->region = (struct bus_region){.name = "fw_cfg",
					.base = LAYOUT_PORT_FW_CFG,
					.size = REG_SIZE,
					.read = fw_cfg_read,
					.write = fw_cfg_write,
					.arg = f,
					.lock = &f->lock,
					.max_size = 4};
	rc = bus_add(board->bus, BUS_PIO, &f->region);
	if (rc)
		goto free_items;
	*out = &f->dev;
	return 0;
free_items:
	for (unsigned i = 0; i < ARRAY_LEN(f->key); i++)
		free(f->key[i].data);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return rc;
}
