/*
 * `outrider plugin bench`: what one operation of a plugin file costs, without an agent.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_PLUGIN_BENCH_H
#define OTR_CLI_PLUGIN_BENCH_H

/* `argv[0]` is "bench". Returns the exit status: 0, 1 the guest failed, 2 it could not be asked. */
int otr_cli_plugin_bench(int argc, char **argv);

#endif
