holm_unit_test(virtio_queue virtio/test_queue.c dev)
holm_unit_test(virtio_blk virtio/test_blk.c dev)
holm_unit_test(virtio_console virtio/test_console.c dev)
