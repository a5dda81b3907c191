/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmfile: walks libyaml's document tree; the keys are those of options.def.
 *
 * Entered by: cli.c for `holm run NAME` and -f. Owns the parser for the length of one call.
 * Trusts nothing: the file may be anything a user can point at; at most 1 MiB of it is read.
 */
#include "api/vmfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "api/options.h"
#include "host/size.h"
#include "host/fail.h"

#define VMFILE_MAX (1u << 20)
#define VMFILE_DEPTH                                                                               \
	8 /* what we read is three deep; libyaml takes quadratic time over deep ones               \
	   */

/* --- types ------------------------------------------------------------------------------------ */

struct vmfile {
	struct vm_config *config;
	const char *path;
	char *dir; /* of path; NULL: the current folder */
	yaml_document_t doc;
};

/* --- helpers ---------------------------------------------------------------------------------- */

static unsigned node_line(const yaml_node_t *node)
{
	return (unsigned)node->start_mark.line + 1;
}

static const char *node_text(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static const char *node_what(const yaml_node_t *node)
{
	switch (node->type) {
	case YAML_SEQUENCE_NODE: return "a list";
	case YAML_MAPPING_NODE: return "a mapping";
	default:
		return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? "a plain value"
									  : "a quoted text";
	}
}

static const char *kind_what(enum option_kind kind)
{
	switch (kind) {
	case OPTION_COUNT: return "a number";
	case OPTION_BOOL: return "true or false";
	case OPTION_SIZE: return "a size such as 512M";
	case OPTION_PATH: return "a file name";
	case OPTION_LIST: return "a list";
	default: return "a text";
	}
}

/* Puts "FILE:LINE: key: " before the sentence a setter left. */
static int fail_at(const struct vmfile *file, const yaml_node_t *node, const char *key, int err)
{
	char sentence[FAIL_TEXT];

	snprintf(sentence, sizeof(sentence), "%s", fail_text());
	return FAIL(err, "%.200s:%u: %s: %s", file->path, node_line(node), key, sentence);
}

static int fail_kind(const struct vmfile *file, const yaml_node_t *node, const char *key,
		     const char *wants)
{
	return FAIL(-EINVAL, "%.200s:%u: %s: expects %s, found %s", file->path, node_line(node),
		    key, wants, node_what(node));
}

static bool scalar_is_plain(const yaml_node_t *node)
{
	return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* A scalar with a value and without NUL bytes; quoted ones only where a text may stand. */
static int scalar_check(const struct vmfile *file, const yaml_node_t *node, const char *key,
			enum option_kind kind)
{
	bool plain_only = kind == OPTION_COUNT || kind == OPTION_BOOL;

	if (node->type != YAML_SCALAR_NODE || (plain_only && !scalar_is_plain(node)))
		return fail_kind(file, node, key, kind_what(kind));
	if (strlen(node_text(node)) != node->data.scalar.length)
		return FAIL(-EINVAL, "%.200s:%u: %s: a NUL byte cannot be here", file->path,
			    node_line(node), key);
	if (scalar_is_plain(node) && (!*node_text(node) || !strcmp(node_text(node), "~") ||
				      !strcmp(node_text(node), "null")))
		return FAIL(-EINVAL, "%.200s:%u: %s: has no value; give one or remove the line",
			    file->path, node_line(node), key);
	return 0;
}

static void keys_list(char *out, size_t len)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < option_count && used < len; i++)
		if (option_table[i].key)
			used += (size_t)snprintf(out + used, len - used, "%s%s", used ? ", " : "",
						 option_table[i].key);
}

/* --- pairs of a mapping ----------------------------------------------------------------------- */

struct pair {
	const char *key;
	yaml_node_t *key_node, *value;
};

/* Reads pair i; refuses keys that are not texts and keys already seen. */
static int pair_read(struct vmfile *file, const yaml_node_t *map, size_t i, struct pair *out)
{
	const yaml_node_pair_t *pairs = map->data.mapping.pairs.start;

	out->key_node = yaml_document_get_node(&file->doc, pairs[i].key);
	out->value = yaml_document_get_node(&file->doc, pairs[i].value);
	if (out->key_node->type != YAML_SCALAR_NODE)
		return FAIL(-EINVAL, "%.200s:%u: a key must be a text", file->path,
			    node_line(out->key_node));
	out->key = node_text(out->key_node);
	for (size_t j = 0; j < i; j++) {
		const yaml_node_t *other = yaml_document_get_node(&file->doc, pairs[j].key);

		if (other->type == YAML_SCALAR_NODE && !strcmp(node_text(other), out->key))
			return FAIL(-EINVAL, "%.200s:%u: key '%.40s' was given before, in line %u",
				    file->path, node_line(out->key_node), out->key,
				    node_line(other));
	}
	return 0;
}

static size_t pair_count(const yaml_node_t *map)
{
	return (size_t)(map->data.mapping.pairs.top - map->data.mapping.pairs.start);
}

/* --- disks ------------------------------------------------------------------------------------ */

static int disk_pair(struct vmfile *file, const struct pair *pair, const char **name,
		     bool *readonly, const char **serial)
{
	bool is_file = !strcmp(pair->key, "file"), is_serial = !strcmp(pair->key, "serial");
	int err;

	if (!is_file && !is_serial && strcmp(pair->key, "readonly"))
		return FAIL(-EINVAL,
			    "%.200s:%u: unknown key '%.40s'; a disk has file, readonly, "
			    "serial",
			    file->path, node_line(pair->key_node), pair->key);
	err = scalar_check(file, pair->value, pair->key,
			   is_file     ? OPTION_PATH
			   : is_serial ? OPTION_TEXT
				       : OPTION_BOOL);
	if (err)
		return err;
	if (is_file)
		*name = node_text(pair->value);
	else if (is_serial)
		*serial = node_text(pair->value);
	else if (bool_parse(node_text(pair->value), readonly))
		return fail_at(file, pair->value, pair->key, -EINVAL);
	return 0;
}

static int disk_load(struct vmfile *file, const yaml_node_t *node)
{
	const char *name = NULL, *serial = NULL;
	bool readonly = false;
	struct pair pair;
	int err;

	if (node->type == YAML_SCALAR_NODE) {
		err = scalar_check(file, node, "disks", OPTION_TEXT);
		if (err)
			return err;
		err = config_set_disk(file->config, node_text(node), file->dir);
		return err ? fail_at(file, node, "disks", err) : 0;
	}
	if (node->type != YAML_MAPPING_NODE)
		return fail_kind(file, node, "disks", "a file name or a mapping in each entry");
	for (size_t i = 0; i < pair_count(node); i++) {
		err = pair_read(file, node, i, &pair);
		if (!err)
			err = disk_pair(file, &pair, &name, &readonly, &serial);
		if (err)
			return err;
	}
	if (!name)
		return FAIL(-EINVAL, "%.200s:%u: disks: the disk has no 'file'", file->path,
			    node_line(node));
	err = config_add_disk(file->config, name, readonly, serial, file->dir);
	return err ? fail_at(file, node, "disks", err) : 0;
}

static int disks_load(struct vmfile *file, const yaml_node_t *node)
{
	const yaml_node_item_t *item;
	int err = 0;

	if (node->type != YAML_SEQUENCE_NODE)
		return fail_kind(file, node, "disks", "a list");
	for (item = node->data.sequence.items.start; item < node->data.sequence.items.top && !err;
	     item++)
		err = disk_load(file, yaml_document_get_node(&file->doc, *item));
	return err;
}

/* --- the machine ------------------------------------------------------------------------------ */

static int machine_pair(struct vmfile *file, const struct pair *pair)
{
	const struct option_row *option = option_by_key(pair->key);
	char known[300];
	int err;

	if (!option) {
		keys_list(known, sizeof(known));
		return FAIL(-EINVAL, "%.200s:%u: unknown key '%.40s'; the keys are %s", file->path,
			    node_line(pair->key_node), pair->key, known);
	}
	if (option->kind == OPTION_LIST)
		return disks_load(file, pair->value);
	err = scalar_check(file, pair->value, pair->key, option->kind);
	if (err)
		return err;
	err = option->set(file->config, node_text(pair->value), file->dir);
	return err ? fail_at(file, pair->value, pair->key, err) : 0;
}

static int machine_load(struct vmfile *file)
{
	const yaml_node_t *root = yaml_document_get_root_node(&file->doc);
	struct pair pair;
	int err = 0;

	if (!root)
		return FAIL(-EINVAL,
			    "%.200s: the file is empty; it needs at least a 'kernel:' line",
			    file->path);
	if (root->type != YAML_MAPPING_NODE)
		return FAIL(-EINVAL, "%.200s:%u: a VM file holds 'key: value' lines, found %s",
			    file->path, node_line(root), node_what(root));
	for (size_t i = 0; i < pair_count(root) && !err; i++) {
		err = pair_read(file, root, i, &pair);
		if (!err)
			err = machine_pair(file, &pair);
	}
	return err;
}

/* --- YAML ------------------------------------------------------------------------------------- */

static int fail_yaml(const struct vmfile *file, const yaml_parser_t *parser)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return FAIL(-ENOMEM, "out of memory");
	return FAIL(-EINVAL, "%.200s:%u: not valid YAML: %.120s", file->path,
		    (unsigned)parser->problem_mark.line + 1,
		    parser->problem ? parser->problem : "unreadable");
}

/* Aliases would make one node stand in several places (and deep ones explode); tags would change
 * types behind our back. The event stream shows both, the tree does not. */
static int events_check(struct vmfile *file, const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_event_t event;
	unsigned documents = 0, depth = 0;
	bool end = false;
	int err = 0;

	if (!yaml_parser_initialize(&parser))
		return FAIL(-ENOMEM, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (!err && !end) {
		const char *odd = NULL;

		if (!yaml_parser_parse(&parser, &event)) {
			err = fail_yaml(file, &parser);
			break;
		}
		if (event.type == YAML_ALIAS_EVENT ||
		    (event.type == YAML_SCALAR_EVENT && event.data.scalar.anchor) ||
		    (event.type == YAML_MAPPING_START_EVENT && event.data.mapping_start.anchor) ||
		    (event.type == YAML_SEQUENCE_START_EVENT && event.data.sequence_start.anchor))
			odd = "anchors and aliases";
		else if ((event.type == YAML_SCALAR_EVENT && event.data.scalar.tag) ||
			 (event.type == YAML_MAPPING_START_EVENT && event.data.mapping_start.tag) ||
			 (event.type == YAML_SEQUENCE_START_EVENT && event.data.sequence_start.tag))
			odd = "tags";
		else if (event.type == YAML_DOCUMENT_START_EVENT && documents++)
			odd = "further documents";
		if (event.type == YAML_MAPPING_START_EVENT ||
		    event.type == YAML_SEQUENCE_START_EVENT)
			depth++;
		else if (event.type == YAML_MAPPING_END_EVENT ||
			 event.type == YAML_SEQUENCE_END_EVENT)
			depth--;
		if (depth > VMFILE_DEPTH)
			odd = "lists and mappings this deep";
		if (odd)
			err = FAIL(-EINVAL, "%.200s:%u: %s are not used in VM files", file->path,
				   (unsigned)event.start_mark.line + 1, odd);
		end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return err;
}

int vmfile_parse(struct vm_config *config, const char *path, const char *text, size_t len)
{
	struct vmfile file = {.config = config, .path = path};
	const char *slash = strrchr(path, '/');
	yaml_parser_t parser;
	int err;

	err = events_check(&file, text, len);
	if (err)
		return err;
	if (slash) {
		file.dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
		if (!file.dir)
			return FAIL(-ENOMEM, "out of memory");
	}
	if (!yaml_parser_initialize(&parser)) {
		free(file.dir);
		return FAIL(-ENOMEM, "out of memory");
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &file.doc)) {
		err = fail_yaml(&file, &parser);
	} else {
		err = machine_load(&file);
		yaml_document_delete(&file.doc);
	}
	yaml_parser_delete(&parser);
	free(file.dir);
	return err;
}

int vmfile_load(struct vm_config *config, const char *path)
{
	/* non-blocking only to open: a pipe without a writer is empty, one with a writer is waited
	 * for */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	size_t len = 0;
	ssize_t got = 0;
	char *text;
	int err;

	if (fd < 0) {
		err = -errno;
		return FAIL(err, "VM file '%.200s': %s", path, strerror(-err));
	}
	fcntl(fd, F_SETFL, 0);
	if (!fstat(fd, &st) && S_ISDIR(st.st_mode)) {
		close(fd);
		return FAIL(-EISDIR, "VM file '%.200s' is a folder; name a file", path);
	}
	text = malloc(VMFILE_MAX + 1);
	if (!text || config_note_source(config, path)) {
		free(text);
		close(fd);
		return FAIL(-ENOMEM, "out of memory");
	}
	while (len <= VMFILE_MAX && (got = read(fd, text + len, VMFILE_MAX + 1 - len)) > 0)
		len += (size_t)got;
	if (got < 0) {
		err = -errno;
		FAIL(err, "VM file '%.200s': %s", path, strerror(-err));
	} else if (len > VMFILE_MAX) {
		err = FAIL(-EINVAL, "VM file '%.200s' is larger than 1 MiB", path);
	} else {
		err = vmfile_parse(config, path, text, len);
	}
	close(fd);
	free(text);
	return err;
}
