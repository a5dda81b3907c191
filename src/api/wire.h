/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: the native API's lines. A client sends one JSON object per line, and gets one line for
 * each:
 *
 *   {"method": "stats", "id": 7}
 *   {"version": 1, "id": 7, "result": {...}}
 *   {"version": 1, "id": 7, "error": {"reason": "unknown-method", "sentence": "..."}}
 *
 * "id" (an integer, or a text of up to 64 bytes) is optional and comes back as it was. A request
 * may name the "version" it means; other members are refused. docs/api.md has the methods.
 */
#ifndef API_WIRE_H
#define API_WIRE_H

#define WIRE_VERSION	 1
#define WIRE_REQUEST_MAX 4096u	/* bytes of a request's line, its end included */
#define WIRE_REPLY_MAX	 32768u /* of a reply's */
#define WIRE_ID_MAX	 64u

#endif
