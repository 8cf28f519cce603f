/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libmicrohttpd, loaded by the process that serves HTTP. The program is not linked with it: the libraries
 * that it needs, such as GnuTLS, would double the time that each command takes to start.
 */
#ifndef SHUNT_MICROHTTPD_H
#define SHUNT_MICROHTTPD_H

#include <microhttpd.h>

struct microhttpd {
	__typeof__(&MHD_start_daemon) start_daemon;
	__typeof__(&MHD_run_wait) run_wait;
	__typeof__(&MHD_get_connection_info) get_connection_info;
	__typeof__(&MHD_lookup_connection_value) lookup_connection_value;
	__typeof__(&MHD_create_response_from_buffer) create_response_from_buffer;
	__typeof__(&MHD_create_response_from_fd64) create_response_from_fd64;
	__typeof__(&MHD_add_response_header) add_response_header;
	__typeof__(&MHD_queue_response) queue_response;
	__typeof__(&MHD_destroy_response) destroy_response;
};

/* Loads the library. Returns 0, or -errno after reporting it. */
int microhttpd_load(struct microhttpd *ret);

#endif
