/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report: jansson for programs, printf for people.
 *
 * Entered by: main. Owns nothing. JSON members are a promise: add, never rename.
 */
#include "prog/report.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/options.h"
#include "host/size.h"
#include "host/fail.h"

#ifndef HOLM_VERSION
#define HOLM_VERSION "0"
#endif

/* --- helpers ---------------------------------------------------------------------------------- */

static int json_write(json_t *root, FILE *out)
{
	int err = json_dumpf(root, out, JSON_INDENT(2)) || fputc('\n', out) == EOF || fflush(out);

	json_decref(root);
	return err ? FAIL(-EIO, "cannot write the JSON output") : 0;
}

int report_end(void)
{
	return fflush(stdout) || ferror(stdout) ? FAIL(-EIO, "cannot write to stdout") : 0;
}

/* File names need not be UTF-8, which JSON must be. */
static json_t *json_text(const char *text)
{
	json_t *string = json_string(text);
	char ascii[FAIL_TEXT];

	if (string)
		return string;
	snprintf(ascii, sizeof(ascii), "%s", text);
	for (char *p = ascii; *p; p++)
		if ((u8)*p >= 0x80)
			*p = '?';
	return json_string(ascii);
}

static json_t *json_number(u64 value)
{
	return json_integer((json_int_t)value);
}

static const char *size_or_dash(u64 bytes, char *buf, size_t len)
{
	return bytes ? size_text(bytes, buf, len) : "none";
}

/* --- version ---------------------------------------------------------------------------------- */

int report_version(bool json)
{
	if (!json) {
		printf("holm %s\n", HOLM_VERSION);
		return report_end();
	}
	return json_write(json_pack("{s:s, s:s, s:s}", "program", "holm", "version", HOLM_VERSION,
				    "machine", "holm-1"),
			  stdout);
}

/* --- doctor: people --------------------------------------------------------------------------- */

static void print_verdict(const char *name, const struct doctor_verdict *verdict)
{
	printf("%s %s", name, verdict->usable ? "works" : "no");
	if (verdict->sentence[0])
		printf(": %s", verdict->sentence);
	if (verdict->reason[0])
		printf(" [%s]", verdict->reason);
	printf("\n");
	if (verdict->mend[0])
		printf("  %-10s -> %s\n", "", verdict->mend);
}

static void print_engines(const struct doctor *doctor)
{
	printf("engines\n");
	for (unsigned i = 0; i < doctor->engines; i++) {
		const struct doctor_engine *engine = &doctor->engine[i];

		printf("  %-10s", engine->name);
		print_verdict("", &engine->verdict);
		if (engine->translates) {
			printf("  %-10s ", "");
			print_verdict("translator", &engine->translator);
		}
	}
	printf("  %-10s %s\n", "default", doctor->best ? doctor->best : "none");
	printf("CPU models\n");
	for (unsigned i = 0; i < DOCTOR_MODELS; i++) {
		const struct doctor_model *model = &doctor->model[i];

		printf("  %-10s %s%s%s\n", model->name, model->usable ? "works" : "no",
		       model->usable ? "" : ": the host's CPU lacks ", model->missing);
	}
}

static void print_limits(const struct host_limits *limits)
{
	char a[32], b[32];

	printf("memory\n");
	printf("  %-10s %s, %s free\n", "host", size_text(limits->ram, a, sizeof(a)),
	       size_text(limits->ram_free, b, sizeof(b)));
	printf("  %-10s %s%s%s\n", "limit", size_or_dash(limits->cgroup_memory, a, sizeof(a)),
	       limits->cgroup_memory ? " by " : "", limits->cgroup_memory_at);
	printf("  %-10s transparent huge pages: %s%s\n", "pages",
	       limits->thp[0] ? limits->thp : "not in this kernel",
	       !strcmp(limits->thp, "never") ? " (slower; set it to madvise)" : "");
	printf("CPUs\n");
	printf("  %-10s %u online, %u for this process\n", "host", limits->cpus_online,
	       limits->cpus_allowed);
	if (limits->cgroup_cpus > 0)
		printf("  %-10s %.2f by %s\n", "limit", limits->cgroup_cpus,
		       limits->cgroup_cpus_at);
	else
		printf("  %-10s none\n", "limit");
	printf("disks\n");
	if (limits->io_uring)
		printf("  %-10s no: %s; threads are used instead\n", "io_uring",
		       strerror(-limits->io_uring));
	else
		printf("  %-10s works\n", "io_uring");
}

static void print_jail(const struct sandbox_report *jail)
{
	printf("jail\n");
	if (jail->refusal[0]) {
		printf("  %-10s no: %s\n", "all of it", jail->refusal);
		return;
	}
	printf("  %-10s %s\n", "seccomp", jail->seccomp ? "works" : "no: a build for tests");
	if (jail->landlock)
		printf("  %-10s works, ABI %d\n", "landlock", jail->landlock_abi);
	else
		printf("  %-10s no: not in this kernel; the system-call list alone keeps paths "
		       "away\n",
		       "landlock");
	printf("  %-10s can be given up\n", "privileges");
}

static void print_doctor(const struct doctor *doctor)
{
	printf("host\n  %-10s %s\n  %-10s %s%s%s%s\n", "kernel", doctor->kernel, "CPU", doctor->cpu,
	       doctor->hypervisor[0] ? " (itself a guest of " : "", doctor->hypervisor,
	       doctor->hypervisor[0] ? ")" : "");
	print_engines(doctor);
	print_limits(&doctor->limits);
	print_jail(&doctor->jail);
}

/* --- doctor: programs ------------------------------------------------------------------------- */

static void json_verdict(json_t *object, const struct doctor_verdict *verdict)
{
	json_object_set_new(object, "usable", json_boolean(verdict->usable));
	json_object_set_new(object, "reason", json_string(verdict->reason));
	json_object_set_new(object, "sentence", json_string(verdict->sentence));
	json_object_set_new(object, "mend", json_string(verdict->mend));
}

static json_t *json_engines(const struct doctor *doctor)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < doctor->engines; i++) {
		const struct doctor_engine *engine = &doctor->engine[i];
		json_t *object = json_object(), *translator = json_null();

		json_object_set_new(object, "name", json_string(engine->name));
		json_verdict(object, &engine->verdict);
		if (engine->translates) {
			translator = json_object();
			json_verdict(translator, &engine->translator);
		}
		json_object_set_new(object, "translator", translator);
		json_array_append_new(list, object);
	}
	return list;
}

static json_t *json_models(const struct doctor *doctor)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < DOCTOR_MODELS; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:b, s:s}", "name", doctor->model[i].name,
						"usable", doctor->model[i].usable, "missing",
						doctor->model[i].missing));
	return list;
}

static json_t *json_limits(const struct host_limits *limits)
{
	json_t *root = json_object();

	json_object_set_new(root, "memory_bytes", json_number(limits->ram));
	json_object_set_new(root, "memory_free_bytes", json_number(limits->ram_free));
	json_object_set_new(root, "memory_limit_bytes",
			    limits->cgroup_memory ? json_number(limits->cgroup_memory)
						  : json_null());
	json_object_set_new(root, "memory_limit_file", json_text(limits->cgroup_memory_at));
	json_object_set_new(root, "cpus_online", json_number(limits->cpus_online));
	json_object_set_new(root, "cpus_allowed", json_number(limits->cpus_allowed));
	json_object_set_new(root, "cpus_limit",
			    limits->cgroup_cpus > 0 ? json_real(limits->cgroup_cpus) : json_null());
	json_object_set_new(root, "huge_pages", json_string(limits->thp));
	json_object_set_new(root, "io_uring", json_boolean(!limits->io_uring));
	json_object_set_new(root, "io_uring_errno", json_integer(-limits->io_uring));
	json_object_set_new(root, "user_namespaces", json_boolean(limits->user_namespaces));
	return root;
}

static json_t *json_doctor(const struct doctor *doctor)
{
	json_t *root = json_object();

	json_object_set_new(root, "kernel", json_string(doctor->kernel));
	json_object_set_new(root, "cpu", json_string(doctor->cpu));
	json_object_set_new(root, "hypervisor", json_string(doctor->hypervisor));
	json_object_set_new(root, "engines", json_engines(doctor));
	json_object_set_new(root, "default_engine",
			    doctor->best ? json_string(doctor->best) : json_null());
	json_object_set_new(root, "cpu_models", json_models(doctor));
	json_object_set_new(root, "limits", json_limits(&doctor->limits));
	json_object_set_new(root, "jail",
			    json_pack("{s:b, s:i, s:b, s:s}", "seccomp", doctor->jail.seccomp,
				      "landlock_abi", doctor->jail.landlock_abi, "no_new_privs",
				      doctor->jail.no_new_privs, "refusal", doctor->jail.refusal));
	return root;
}

int report_doctor(const struct doctor *doctor, bool json)
{
	if (json)
		return json_write(json_doctor(doctor), stdout);
	print_doctor(doctor);
	return report_end();
}

/* --- a run's outcome -------------------------------------------------------------------------- */

static json_t *json_outcome(const char *name, const struct vm_outcome *outcome)
{
	json_t *root = json_object(), *count = json_object();

	json_object_set_new(root, "name", json_string(name));
	json_object_set_new(root, "exit_code", json_integer(outcome->code));
	json_object_set_new(root, "exit", json_string(exit_name(outcome->code)));
	json_object_set_new(root, "guest_code", json_number(outcome->guest_code));
	json_object_set_new(root, "error",
			    outcome->error[0] ? json_text(outcome->error) : json_null());
	json_object_set_new(root, "engine", json_string(outcome->engine));
	json_object_set_new(root, "translate", json_string(outcome->translate));
	json_object_set_new(root, "translate_refusal",
			    *outcome->translate_refusal ? json_string(outcome->translate_refusal)
							: json_null());
	json_object_set_new(root, "startup_seconds", json_real((double)outcome->startup_ns / 1e9));
	json_object_set_new(root, "seconds", json_real((double)outcome->run_ns / 1e9));
	json_object_set_new(root, "resets", json_number(outcome->resets));
	json_object_set_new(root, "console_bytes", json_number(outcome->console_bytes));
	json_object_set_new(root, "overhead_bytes", json_number(outcome->overhead_bytes));
	for (unsigned i = 0; i < metric_count; i++)
		json_object_set_new(
			count, metric_table[i].name,
			json_number(metric_value(&outcome->counters, &metric_table[i])));
	json_object_set_new(root, "counters", count);
	return root;
}

int report_outcome(const char *name, const struct vm_outcome *outcome, FILE *stream)
{
	json_t *root = json_outcome(name, outcome);
	int err = json_dumpf(root, stream, JSON_COMPACT | JSON_REAL_PRECISION(9)) ||
		  fputc('\n', stream) == EOF || fflush(stream);

	json_decref(root);
	return err ? FAIL(-EIO, "--json: the output could not be written whole") : 0;
}
