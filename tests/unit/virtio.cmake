holm_unit_test(virtio_queue virtio/test_queue.c dev)
