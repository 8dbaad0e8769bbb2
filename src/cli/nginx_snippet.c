/* `outrider nginx status-snippet`: a server for NGINX at which it may be asked without a trace in
 * its logs. */
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/base.h"
#include "cli/nginx.h"
#include "cli/print.h"

enum { EXIT_USAGE = 2, LISTEN_BYTES = 160, PORT_DIGITS = 5, PORT_MOST = 65535 };

#define DEFAULT_PORT "8089"

static int usage(FILE *to, int rc)
{
    (void)fprintf(
        to, "Usage: outrider nginx status-snippet [--listen PLACE]\n\n"
            "Prints a server block with stub_status for this host alone, whose polls leave no "
            "line in a log.\n"
            "PLACE: a port, 127.0.0.1:PORT, [::1]:PORT or unix:/PATH; without it "
            "127.0.0.1:" DEFAULT_PORT ".\n"
            "It belongs into http { }, for example as /etc/nginx/conf.d/outrider-status.conf; "
            "then nginx -t and a reload.\n"
            "The agent finds it by itself.\n");
    return rc;
}

/* 1 to 65535, in digits alone. */
static bool is_port(const char *text)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > PORT_DIGITS || text[n] != '\0') {
        return false;
    }
    unsigned port = 0;
    for (size_t i = 0; i < n; i++) {
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    return port >= 1 && port <= PORT_MOST;
}

/* A path that NGINX reads as one word as it stands, and the kernel takes for a socket. */
static bool is_socket(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+@%=,";
    const struct sockaddr_un *at = NULL;
    size_t n = strlen(path);
    return path[0] == '/' && n > 1 && path[n - 1] != '/' && n < sizeof(at->sun_path) &&
           path[strspn(path, plain)] == '\0';
}

/* Who may ask at `place`, as `allow` takes it, and what `listen` takes in `listen`; NULL: it is no
 * place of this host alone. */
static const char *choose(const char *place, char listen[LISTEN_BYTES])
{
    static const struct {
        const char *before, *allow;
    } hosts[] = { { "127.0.0.1:", "127.0.0.1" }, { "[::1]:", "::1" } };
    (void)snprintf(listen, LISTEN_BYTES, "%s", place);
    if (strncmp(place, "unix:", 5) == 0) {
        return is_socket(place + 5) ? "unix:" : NULL;
    }
    for (size_t i = 0; i < OTR_COUNT(hosts); i++) {
        size_t n = strlen(hosts[i].before);
        if (strncmp(place, hosts[i].before, n) == 0) {
            return is_port(place + n) ? hosts[i].allow : NULL;
        }
    }
    (void)snprintf(listen, LISTEN_BYTES, "127.0.0.1:%s", place);
    return is_port(place) ? "127.0.0.1" : NULL;
}

int otr_cli_nginx_snippet(int argc, char **argv)
{
    const char *place = DEFAULT_PORT;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return usage(stdout, 0);
        }
        if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc) {
            place = argv[++i];
        } else if (strncmp(argv[i], "--listen=", 9) == 0) {
            place = argv[i] + 9;
        } else {
            otr_cli_say(stderr, "outrider nginx status-snippet: %s: %s", argv[i],
                        strcmp(argv[i], "--listen") == 0 ? "its value is missing"
                                                         : "there is no such option");
            return usage(stderr, EXIT_USAGE);
        }
    }
    char listen[LISTEN_BYTES];
    const char *allow = choose(place, listen);
    if (allow == NULL) {
        otr_cli_say(stderr,
                    "outrider nginx status-snippet: --listen %s: it takes a place of this host "
                    "alone: PORT, 127.0.0.1:PORT, [::1]:PORT or unix:/PATH",
                    place);
        return EXIT_USAGE;
    }
    int printed = printf("# Status of NGINX for Outrider, asked by this host alone. In http { }; "
                         "nginx -t, then reload.\n"
                         "server {\n"
                         "    listen %s;\n"
                         "    access_log off; # no line for each poll\n\n"
                         "    location = /outrider_status {\n"
                         "        stub_status;\n"
                         "        allow %s;\n"
                         "        deny all;\n"
                         "    }\n\n"
                         "    location / {\n"
                         "        return 404;\n"
                         "    }\n"
                         "}\n",
                         listen, allow);
    if (printed < 0 || fflush(stdout) != 0) {
        otr_cli_say(stderr, "outrider nginx status-snippet: cannot write the output");
        return EXIT_USAGE;
    }
    return 0;
}
