/*
 * The daemon: builds everything, wires it, runs it, takes it down in reverse order.
 *
 * The only place that knows all parts. SIGTERM, SIGINT and SIGQUIT end it, SIGHUP reloads the
 * configuration, SIGUSR1 reopens the log file.
 *
 * Thread: the caller's becomes the loop thread.
 */
#ifndef OTR_DAEMON_DAEMON_H
#define OTR_DAEMON_DAEMON_H

#include "config/config.h"

/* Runs until a signal ends it. 0: ended cleanly; 1: could not start, or not stop: the reason was
 * logged. `source` is read again at each reload. `started_ns`: monotonic, when the process began.
 */
int otr_daemon_run(const otr_config_source *source, uint64_t started_ns);

#endif
