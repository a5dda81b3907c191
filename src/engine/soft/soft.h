/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soft: the engine that needs nothing of the host but a process: Holm's own CPU.
 *
 * Entered by: engine/registry.c.
 */
#ifndef ENGINE_SOFT_SOFT_H
#define ENGINE_SOFT_SOFT_H

#include "engine/engine.h"

extern const struct engine_ops engine_soft_ops;

#endif
