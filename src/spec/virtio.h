/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio: numbers and wire structures of VIRTIO 1.2 (OASIS Committee Specification 01).
 *
 * Each block cites its section.
 */
#ifndef SPEC_VIRTIO_H
#define SPEC_VIRTIO_H

#include "lib/types.h"

/* 2.1 Device status */
#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER	  2
#define VIRTIO_STATUS_DRIVER_OK	  4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_NEEDS_RESET 64
#define VIRTIO_STATUS_FAILED	  128

/* 6 Reserved feature bits */
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX     29
#define VIRTIO_F_VERSION_1     32
#define VIRTIO_F_RING_PACKED   34

/* 5 Device types */
#define VIRTIO_ID_NET	  1
#define VIRTIO_ID_BLOCK	  2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_RNG	  4

/* 2.7.5 / 2.8.1 Descriptor flags */
#define VIRTQ_DESC_F_NEXT     1
#define VIRTQ_DESC_F_WRITE    2
#define VIRTQ_DESC_F_INDIRECT 4
#define VIRTQ_DESC_F_AVAIL    (1 << 7)	/* packed */
#define VIRTQ_DESC_F_USED     (1 << 15) /* packed */

/* 2.7.5 The split descriptor table */
struct virtq_desc {
	le64 addr;
	le32 len;
	le16 flags;
	le16 next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "virtio 1.2, 2.7.5");

/* 2.7.6 The available ring: flags, idx, ring[size], used_event */
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTQ_AVAIL_IDX		   2
#define VIRTQ_AVAIL_RING	   4
#define VIRTQ_AVAIL_ALIGN	   2

/* 2.7.8 The used ring: flags, idx, ring[size] of {id, len}, avail_event */
#define VIRTQ_USED_F_NO_NOTIFY 1
#define VIRTQ_USED_IDX	       2
#define VIRTQ_USED_RING	       4
#define VIRTQ_USED_ALIGN       4
struct virtq_used_elem {
	le32 id;
	le32 len;
};
_Static_assert(sizeof(struct virtq_used_elem) == 8, "virtio 1.2, 2.7.8");

#define VIRTQ_DESC_ALIGN 16

/* 2.8.13 The packed descriptor */
struct virtq_packed_desc {
	le64 addr;
	le32 len;
	le16 id;
	le16 flags;
};
_Static_assert(sizeof(struct virtq_packed_desc) == 16, "virtio 1.2, 2.8.13");

/* 2.8.14 Event suppression: off_wrap, flags */
#define VIRTQ_EVENT_OFF	      0
#define VIRTQ_EVENT_FLAGS     2
#define VIRTQ_EVENT_SIZE      4
#define VIRTQ_EVENT_ALIGN     4
#define VIRTQ_EVENT_F_ENABLE  0
#define VIRTQ_EVENT_F_DISABLE 1
#define VIRTQ_EVENT_F_DESC    2

/* 4.1.2 PCI device discovery */
#define VIRTIO_PCI_VENDOR	 0x1af4
#define VIRTIO_PCI_DEVICE_MODERN 0x1040 /* + device type */

/* 4.1.4 Capabilities */
#define VIRTIO_PCI_CAP_COMMON_CFG  1
#define VIRTIO_PCI_CAP_NOTIFY_CFG  2
#define VIRTIO_PCI_CAP_ISR_CFG	   3
#define VIRTIO_PCI_CAP_DEVICE_CFG  4
#define VIRTIO_PCI_CAP_PCI_CFG	   5
#define VIRTIO_PCI_CAP_SIZE	   16
#define VIRTIO_PCI_CAP_LEN	   2
#define VIRTIO_PCI_CAP_TYPE	   3
#define VIRTIO_PCI_CAP_BAR	   4
#define VIRTIO_PCI_CAP_OFFSET	   8
#define VIRTIO_PCI_CAP_LENGTH	   12
#define VIRTIO_PCI_CAP_NOTIFY_MULT 16 /* notify capability only */
#define VIRTIO_PCI_CAP_DATA	   16 /* PCI_CFG capability only */

/* 4.1.4.3 Common configuration structure */
#define VIRTIO_PCI_COMMON_DFSELECT 0
#define VIRTIO_PCI_COMMON_DF	   4
#define VIRTIO_PCI_COMMON_GFSELECT 8
#define VIRTIO_PCI_COMMON_GF	   12
#define VIRTIO_PCI_COMMON_MSIX	   16
#define VIRTIO_PCI_COMMON_NUMQ	   18
#define VIRTIO_PCI_COMMON_STATUS   20
#define VIRTIO_PCI_COMMON_CFGGEN   21
#define VIRTIO_PCI_COMMON_Q_SELECT 22
#define VIRTIO_PCI_COMMON_Q_SIZE   24
#define VIRTIO_PCI_COMMON_Q_MSIX   26
#define VIRTIO_PCI_COMMON_Q_ENABLE 28
#define VIRTIO_PCI_COMMON_Q_NOFF   30
#define VIRTIO_PCI_COMMON_Q_DESC   32
#define VIRTIO_PCI_COMMON_Q_DRIVER 40
#define VIRTIO_PCI_COMMON_Q_DEVICE 48
#define VIRTIO_PCI_COMMON_SIZE	   56
#define VIRTIO_MSI_NO_VECTOR	   0xffff

/* 4.1.4.5 ISR status */
#define VIRTIO_PCI_ISR_QUEUE  1
#define VIRTIO_PCI_ISR_CONFIG 2

/* 5.2 Block device */
#define VIRTIO_BLK_F_SIZE_MAX	  1
#define VIRTIO_BLK_F_SEG_MAX	  2
#define VIRTIO_BLK_F_RO		  5
#define VIRTIO_BLK_F_BLK_SIZE	  6
#define VIRTIO_BLK_F_FLUSH	  9
#define VIRTIO_BLK_F_TOPOLOGY	  10
#define VIRTIO_BLK_F_CONFIG_WCE	  11
#define VIRTIO_BLK_F_MQ		  12
#define VIRTIO_BLK_F_DISCARD	  13
#define VIRTIO_BLK_F_WRITE_ZEROES 14

#define VIRTIO_BLK_T_IN		  0
#define VIRTIO_BLK_T_OUT	  1
#define VIRTIO_BLK_T_FLUSH	  4
#define VIRTIO_BLK_T_GET_ID	  8
#define VIRTIO_BLK_T_DISCARD	  11
#define VIRTIO_BLK_T_WRITE_ZEROES 13
#define VIRTIO_BLK_ID_BYTES	  20

#define VIRTIO_BLK_S_OK	    0
#define VIRTIO_BLK_S_IOERR  1
#define VIRTIO_BLK_S_UNSUPP 2

#define VIRTIO_BLK_WRITE_ZEROES_F_UNMAP 1

/* 5.2.4 Device configuration layout */
struct virtio_blk_config {
	le64 capacity;
	le32 size_max;
	le32 seg_max;
	le16 cylinders;
	u8 heads;
	u8 sectors;
	le32 blk_size;
	u8 physical_block_exp;
	u8 alignment_offset;
	le16 min_io_size;
	le32 opt_io_size;
	u8 writeback;
	u8 unused0;
	le16 num_queues;
	le32 max_discard_sectors;
	le32 max_discard_seg;
	le32 discard_sector_alignment;
	le32 max_write_zeroes_sectors;
	le32 max_write_zeroes_seg;
	u8 write_zeroes_may_unmap;
	u8 unused1[3];
} packed_struct;
_Static_assert(sizeof(struct virtio_blk_config) == 60, "virtio 1.2, 5.2.4");

/* 5.2.6 Device operation */
struct virtio_blk_req_head {
	le32 type;
	le32 reserved;
	le64 sector;
};
_Static_assert(sizeof(struct virtio_blk_req_head) == 16, "virtio 1.2, 5.2.6");
struct virtio_blk_range {
	le64 sector;
	le32 num_sectors;
	le32 flags;
};
_Static_assert(sizeof(struct virtio_blk_range) == 16, "virtio 1.2, 5.2.6");

/* 5.3 Console device */
#define VIRTIO_CONSOLE_F_SIZE 0
struct virtio_console_config {
	le16 cols;
	le16 rows;
	le32 max_nr_ports;
	le32 emerg_wr;
};
_Static_assert(sizeof(struct virtio_console_config) == 12, "virtio 1.2, 5.3.4");

#endif
