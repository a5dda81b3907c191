/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM file and the values in it: what is accepted, and for everything else the sentence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "host/size.h"
#include "api/vmfile.h"
#include "host/fail.h"

/* --- sizes ------------------------------------------------------------------------------------ */

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		u64 bytes; /* 0: refused */
	} row[] = {
		{"1K", 1024},
		{"512M", 512ull << 20},
		{"2G", 2ull << 30},
		{"2g", 2ull << 30},
		{"2GiB", 2ull << 30},
		{"2GB", 2ull << 30},
		{"1T", 1ull << 40},
		{"007M", 7ull << 20},
		{"512", 0},
		{"", 0},
		{"M", 0},
		{"-1M", 0},
		{"+1M", 0},
		{" 1M", 0},
		{"1 M", 0},
		{"1M ", 0},
		{"1.5G", 0},
		{"0x10M", 0},
		{"1MM", 0},
		{"99999999999999999999M", 0},
		{"16777216T", 0},
		{"8388608T", 0},
		{"1E", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		u64 bytes = 0;
		int err = size_parse(row[i].text, &bytes);

		if (row[i].bytes) {
			assert_int_equal(err, 0);
			assert_int_equal(bytes, row[i].bytes);
		} else {
			assert_true(err < 0);
			assert_true(fail_text()[0]);
		}
	}
}

static void test_size_text(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(size_text(512ull << 20, buf, sizeof(buf)), "512 MiB");
	assert_string_equal(size_text(3ull << 29, buf, sizeof(buf)), "1.5 GiB");
	assert_string_equal(size_text(7, buf, sizeof(buf)), "7 bytes");
}

/* --- VM files that are right ------------------------------------------------------------------ */

static void test_good_file(void **state)
{
	static const char text[] = "# a machine\n"
				   "name: web\n"
				   "machine: holm-1\n"
				   "cpu: v3-1\n"
				   "cpus: 4\n"
				   "memory: 2G\n"
				   "engine: soft,cache=64M\n"
				   "kernel: vmlinuz\n"
				   "initrd: /boot/initrd.img\n"
				   "append: quiet root=/dev/vda1\n"
				   "disks:\n"
				   "  - root.raw\n"
				   "  - a,b.raw,ro,serial=X1\n"
				   "  - file: data.raw\n"
				   "    readonly: true\n"
				   "    serial: \"42\"\n"
				   "console: unix:web.sock\n"
				   "console-device: virtio\n"
				   "no-reboot: true\n";
	char cmdline[CONFIG_CMDLINE_MAX + 1];
	struct vm_config config;

	(void)state;
	assert_int_equal(config_open(&config), 0);
	assert_int_equal(vmfile_parse(&config, "/etc/vm/web.yaml", text, sizeof(text) - 1), 0);
	assert_int_equal(config_check(&config), 0);
	assert_string_equal(config.name, "web");
	assert_string_equal(config.cpu_model, "v3-1");
	assert_int_equal(config.cpus, 4);
	assert_int_equal(config.memory, 2ull << 30);
	assert_string_equal(config.engine, "soft");
	assert_string_equal(config.engine_options, "cache=64M");
	assert_string_equal(config.kernel, "/etc/vm/vmlinuz");
	assert_string_equal(config.initrd, "/boot/initrd.img");
	assert_int_equal(config.disks, 3);
	assert_string_equal(config.disk[0].file, "/etc/vm/root.raw");
	assert_false(config.disk[0].readonly);
	assert_string_equal(config.disk[1].file, "/etc/vm/a,b.raw");
	assert_true(config.disk[1].readonly);
	assert_string_equal(config.disk[1].serial, "X1");
	assert_true(config.disk[2].readonly);
	assert_string_equal(config.disk[2].serial, "42");
	assert_int_equal(config.console, CONFIG_CONSOLE_UNIX);
	assert_string_equal(config.console_path, "/etc/vm/web.sock");
	assert_true(config.console_virtio);
	assert_true(config.no_reboot);
	config_cmdline(&config, cmdline);
	assert_string_equal(cmdline, "console=hvc0 quiet root=/dev/vda1");
	config_close(&config);
}

static void test_cmdline(void **state)
{
	char cmdline[CONFIG_CMDLINE_MAX + 1];
	struct vm_config config;

	(void)state;
	assert_int_equal(config_open(&config), 0);
	config_cmdline(&config, cmdline);
	assert_string_equal(cmdline, "console=ttyS0");
	assert_int_equal(config_set_append(&config, "a", NULL), 0);
	assert_int_equal(config_set_append(&config, "b=c", NULL), 0);
	config_cmdline(&config, cmdline);
	assert_string_equal(cmdline, "console=ttyS0 a b=c");
	assert_int_equal(config_set_cmdline(&config, "", NULL), 0);
	config_cmdline(&config, cmdline);
	assert_string_equal(cmdline, "a b=c");
	config_close(&config);
}

/* --- VM files that are wrong: the sentence, whole or its beginning ---------------------------- */

static const struct {
	const char *text;
	const char *sentence; /* must occur in it */
} bad_file[] = {
	{"", "v.yaml: the file is empty"},
	{"# nothing\n", "v.yaml: the file is empty"},
	{"kernel\n", "v.yaml:1: a VM file holds 'key: value' lines"},
	{"- kernel\n", "v.yaml:1: a VM file holds 'key: value' lines, found a list"},
	{"memroy: 2G\n", "v.yaml:1: unknown key 'memroy'; the keys are name, machine, kernel, "},
	{"kernel: a\nmemory: 2G\nkernel: b\n",
	 "v.yaml:3: key 'kernel' was given before, in line 1"},
	{"kernel: [a, b]\n", "v.yaml:1: kernel: expects a file name, found a list"},
	{"kernel: {a: b}\n", "v.yaml:1: kernel: expects a file name, found a mapping"},
	{"kernel:\n", "v.yaml:1: kernel: has no value"},
	{"kernel: ~\n", "v.yaml:1: kernel: has no value"},
	{"kernel: \"\"\n", "v.yaml:1: kernel: the file name is empty"},
	{"kernel: \"a\\0b\"\n", "v.yaml:1: kernel: a NUL byte cannot be here"},
	{"\ncpus: two\n", "v.yaml:2: cpus: 'two' is not a whole number; write 1 to 64"},
	{"cpus: 0\n", "v.yaml:1: cpus: '0' is out of range"},
	{"cpus: 65\n", "v.yaml:1: cpus: '65' is out of range"},
	{"cpus: -1\n", "v.yaml:1: cpus: '-1' is not a whole number"},
	{"cpus: \"2\"\n", "v.yaml:1: cpus: expects a number, found a quoted text"},
	{"cpus: 2.0\n", "v.yaml:1: cpus: '2.0' is not a whole number"},
	{"memory: 512\n", "v.yaml:1: memory: '512' has no unit; write 512M or 512G"},
	{"memory: 1M\n", "v.yaml:1: memory: '1M' is out of range"},
	{"memory: 9999T\n", "v.yaml:1: memory: '9999T' is out of range"},
	{"memory: 16777K\n", "v.yaml:1: memory: '16777K' is not whole MiB"},
	{"no-reboot: yes\n", "v.yaml:1: no-reboot: 'yes' is neither true nor false"},
	{"no-reboot: \"true\"\n", "v.yaml:1: no-reboot: expects true or false"},
	{"machine: q35\n", "v.yaml:1: machine: 'q35' is not a machine; there is holm-1"},
	{"cpu: qemu64\n", "v.yaml:1: cpu: 'qemu64' is not a CPU model; there are v2-1, v3-1"},
	{"name: a b\n", "v.yaml:1: name: 'a b' is not a name"},
	{"engine: \",x\"\n", "v.yaml:1: engine: the engine has no name"},
	{"console-device: usb\n", "v.yaml:1: console-device: 'usb' is not a console device"},
	{"append: \"a\\nb\"\n", "v.yaml:1: append: control characters"},
	{"disks: a.raw\n", "v.yaml:1: disks: expects a list, found a plain value"},
	{"disks:\n  - [a]\n", "v.yaml:2: disks: expects a file name or a mapping"},
	{"disks:\n  - {readonly: true}\n", "v.yaml:2: disks: the disk has no 'file'"},
	{"disks:\n  - {file: a, ro: true}\n",
	 "v.yaml:2: unknown key 'ro'; a disk has file, readonly, serial"},
	{"disks:\n  - file: a\n    file: b\n", "v.yaml:3: key 'file' was given before, in line 2"},
	{"disks:\n  - file: a\n    readonly: maybe\n", "v.yaml:3: readonly: 'maybe' is neither"},
	{"disks:\n  - {file: a, serial: 123456789012345678901}\n", "serial has 1 to 20 characters"},
	{"kernel: a\n---\nkernel: b\n", "v.yaml:2: further documents are not used"},
	{"kernel: &x a\n", "v.yaml:1: anchors and aliases are not used"},
	{"kernel: a\ninitrd: *x\n", "anchors and aliases are not used"},
	{"[[[[[[[[[[\n", "v.yaml:1: lists and mappings this deep are not used"},
	{"kernel: !!str a\n", "v.yaml:1: tags are not used"},
	{"kernel: [a\n", "not valid YAML"},
	{"kernel: \"a\n", "not valid YAML"},
	{"\tkernel: a\n", "v.yaml:1: not valid YAML"},
	{"kernel: a: b\n", "v.yaml:1: not valid YAML"},
	{"? [a]\n: b\n", "v.yaml:1: a key must be a text"},
	{"kernel: \x01\n", "not valid YAML"},
	{"\xff\xfe\n", "not valid YAML"},
};

static void test_bad_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_file); i++) {
		struct vm_config config;
		int err;

		assert_int_equal(config_open(&config), 0);
		err = vmfile_parse(&config, "v.yaml", bad_file[i].text, strlen(bad_file[i].text));
		if (err >= 0)
			fail_msg("accepted: %s", bad_file[i].text);
		if (!strstr(fail_text(), bad_file[i].sentence))
			fail_msg("'%s' does not say '%s'", fail_text(), bad_file[i].sentence);
		assert_null(strchr(fail_text(), '\n'));
		config_close(&config);
	}
}

static void test_unreadable(void **state)
{
	struct vm_config config;

	(void)state;
	assert_int_equal(config_open(&config), 0);
	assert_int_equal(vmfile_load(&config, "/nowhere/vm.yaml"), -ENOENT);
	assert_int_equal(vmfile_load(&config, "/tmp"), -EISDIR);
	assert_int_equal(vmfile_load(&config, "/dev/zero"), -EINVAL);
	assert_non_null(strstr(fail_text(), "larger than 1 MiB"));
	config_close(&config);
}

static void test_log(void **state)
{
	static const char *const bad[] = {"",
					  "all",
					  "translate",
					  "translate=",
					  "translate=x",
					  "translate=0x",
					  "translate=-1",
					  "translate=1-",
					  "translate=1-2-3",
					  "translate=1 2",
					  "translate=11112222333344445",
					  "translate=2-1",
					  "translate=1,"};
	static const struct {
		const char *text;
		u64 first, last;
		const char *file;
	} good[] = {
		{"translate=0", 0, 0, NULL},
		{"translate=ffffffff81000000", 0xffffffff81000000, 0xffffffff81000000, NULL},
		{"translate=0x10-0xFF", 0x10, 0xff, NULL},
		{"translate=0-ffffffffffffffff,a,b", 0, ~0ull, "a,b"},
		{"translate=1,/x", 1, 1, "/x"},
	};
	struct vm_config config;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(config_open(&config), 0);
		assert_int_equal(config_set_log(&config, bad[i], NULL), -EINVAL);
		config_close(&config);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(config_open(&config), 0);
		assert_int_equal(config_set_log(&config, good[i].text, NULL), 0);
		assert_true(config.log.translate);
		assert_true(config.log.first == good[i].first && config.log.last == good[i].last);
		if (good[i].file)
			assert_string_equal(config.log.file, good[i].file);
		else
			assert_null(config.log.file);
		assert_int_equal(config_set_log(&config, good[i].text, NULL), -EINVAL);
		config_close(&config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log),	   cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_size_text),  cmocka_unit_test(test_good_file),
		cmocka_unit_test(test_cmdline),	   cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
