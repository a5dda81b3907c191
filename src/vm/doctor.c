/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: asks every engine, every CPU model and every layer of the jail whether it works here.
 *
 * Entered by: prog. Owns nothing.
 */
#include "vm/doctor.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "cpu/model.h"
#include "engine/engine.h"

#define DOCTOR_TSC_KHZ 1000000u /* any will do: only the features are looked at */

static void verdict_take(struct doctor_verdict *verdict, const struct engine_reason *reason)
{
	verdict->usable = reason->code == ENGINE_OK;
	verdict->reason = verdict->usable || !reason->name ? "" : reason->name;
	snprintf(verdict->sentence, sizeof(verdict->sentence), "%s", reason->sentence);
	snprintf(verdict->mend, sizeof(verdict->mend), "%s", reason->mend);
}

static void engines_read(struct doctor *doctor)
{
	const struct engine_ops *const *list = engine_list();
	struct engine_reason reason;

	for (; *list && doctor->engines < DOCTOR_ENGINES_MAX; list++) {
		struct doctor_engine *engine = &doctor->engine[doctor->engines++];

		memset(&reason, 0, sizeof(reason));
		(*list)->probe(&reason);
		engine->name = (*list)->name;
		verdict_take(&engine->verdict, &reason);
		if (engine->verdict.usable && !doctor->best)
			doctor->best = engine->name;
		engine->translates = (*list)->probe_translator != NULL;
		if (!engine->translates)
			continue;
		(*list)->probe_translator(&reason);
		verdict_take(&engine->translator, &reason);
	}
}

static void models_read(struct doctor *doctor)
{
	static const char *const name[DOCTOR_MODELS] = {"v2-1", "v3-1", "host"};
	struct cpu_model model;

	for (unsigned i = 0; i < DOCTOR_MODELS; i++) {
		const char *missing = NULL;

		memset(&model, 0, sizeof(model));
		doctor->model[i].name = name[i];
		doctor->model[i].usable =
			!cpu_model_open(&model, name[i], 1, DOCTOR_TSC_KHZ, &missing);
		doctor->model[i].missing = missing ? missing : "";
	}
}

/* Brand string, SDM 2A, CPUID leaves 80000002H to 80000004H; hypervisor name, leaf 40000000H. */
static void cpu_read(struct doctor *doctor)
{
	u32 regs[12] = {0}, a, b, c, d;
	const char *text;

	for (unsigned i = 0; i < 3; i++)
		if (!__get_cpuid(0x80000002u + i, &regs[i * 4], &regs[i * 4 + 1], &regs[i * 4 + 2],
				 &regs[i * 4 + 3]))
			return;
	text = (const char *)regs;
	while (*text == ' ')
		text++;
	snprintf(doctor->cpu, sizeof(doctor->cpu), "%.48s", text);
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 31))
		return;
	__cpuid(0x40000000u, a, b, c, d);
	memcpy(doctor->hypervisor, &b, 4);
	memcpy(doctor->hypervisor + 4, &c, 4);
	memcpy(doctor->hypervisor + 8, &d, 4);
}

void doctor_read(struct doctor *doctor)
{
	struct utsname name;

	memset(doctor, 0, sizeof(*doctor));
	engines_read(doctor);
	models_read(doctor);
	host_limits_read(&doctor->limits);
	sandbox_probe(&doctor->jail);
	cpu_read(doctor);
	if (!uname(&name))
		snprintf(doctor->kernel, sizeof(doctor->kernel), "%.40s %.50s", name.sysname,
			 name.release);
}
