/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry: the engines of this Holm, best first. Adding one is a line here.
 *
 * Entered by: vm (choosing one), doctor (all of them, with their reasons). Const.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/soft/soft.h"

/* --- engines that are planned, so that asking for one gets a reason --------------------------- */

static int kvm_probe(struct engine_reason *reason)
{
	memset(reason, 0, sizeof(*reason));
	reason->code = ENGINE_ABSENT;
	reason->name = "kvm-not-built-in";
	snprintf(reason->sentence, sizeof(reason->sentence), "this Holm has no kvm engine yet");
	snprintf(reason->mend, sizeof(reason->mend),
		 "use --engine soft, which needs no hardware "
		 "virtualization");
	return -ENOSYS;
}

static const struct engine_ops engine_kvm_absent = {.name = "kvm", .probe = kvm_probe};

/* --- the list --------------------------------------------------------------------------------- */

static const struct engine_ops *const engines[] = {
	&engine_kvm_absent,
	&engine_soft_ops,
	NULL,
};

const struct engine_ops *const *engine_list(void)
{
	return engines;
}

const struct engine_ops *engine_find(const char *name)
{
	for (size_t i = 0; engines[i]; i++)
		if (!strcmp(engines[i]->name, name))
			return engines[i];
	return NULL;
}
