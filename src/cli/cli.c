#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "cli/print.h"

enum { EXIT_USAGE = 2 };

static int version(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--json") == 0) {
        (void)printf("{\"name\":\"outrider\",\"version\":\"%s\"}\n", OTR_VERSION);
    } else {
        (void)printf("outrider %s\n", OTR_VERSION);
    }
    return 0;
}

static const struct command {
    const char *name;
    int (*fn)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "status", otr_cli_status, "is it fine, and if not, why" },
    { "plugins", otr_cli_plugins, "every plugin with its state and counters" },
    { "events", otr_cli_events, "the latest messages of the bus [--follow]" },
    { "plugin", otr_cli_plugin,
      "inspect or call a plugin file; list, reload, disable … a running one" },
    { "nginx", otr_cli_nginx_main, "parse, build, lex, format or minify an NGINX configuration" },
    { "reload", otr_cli_reload, "read the configuration again, and what became of each plugin" },
    { "config", otr_cli_config,
      "apply, check, diff, undo a configuration of NGINX; show: that of the agent" },
    { "version", version, "print the version" },
};

static void usage(FILE *to)
{
    (void)fprintf(to, "Usage: outrider COMMAND [OPTION]…\n\n"
                      "  run       the agent itself, in the foreground\n");
    for (size_t i = 0; i < OTR_COUNT(commands); i++) {
        (void)fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].help);
    }
    (void)fprintf(
        to, "\nEach command prints its options with --help; each that reports takes --json.\n");
}

/* Called as NGINX Agent: the daemon at once, its flags and its way to say its version. */
static int as_nginx_agent(int argc, char **argv, uint64_t started_ns)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-v") == 0 || strcmp(argv[i], "--version") == 0) {
            (void)printf("nginx-agent version v%s-outrider\n", OTR_VERSION);
            return 0;
        }
    }
    return otr_cli_run(argc, argv, started_ns);
}

int otr_cli_main(int argc, char **argv, uint64_t started_ns)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *self = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "outrider";
    if (strcmp(self, "nginx-agent") == 0) {
        return as_nginx_agent(argc, argv, started_ns);
    }
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-v") == 0) {
        return version(1, argv);
    }
    if (strcmp(name, "run") == 0) {
        return otr_cli_run(argc - 1, argv + 1, started_ns);
    }
    for (size_t i = 0; i < OTR_COUNT(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            return commands[i].fn(argc - 1, argv + 1);
        }
    }
    otr_cli_say(stderr, "outrider: there is no command \"%s\"", name);
    (void)fputc('\n', stderr);
    usage(stderr);
    return EXIT_USAGE;
}
