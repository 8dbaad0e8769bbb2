/*
 * The NGINX in a process whose executable is another program: ld.so, or an emulator of a processor.
 */
#include <stdio.h>
#include <stdlib.h>

#include "nginx/files.h"
#include "nginx/instance/scan.h"

enum { LINE_BYTES = OTR_NGINX_PATH_BYTES + 128, FILES_MOST = 64 };

/* "start-end r-xp offset dev inode path": the path of a file that is mapped as code. */
static char *code_path(char *line)
{
    char *at = strchr(line, ' ');
    if (at == NULL || strlen(at) < 5 || at[3] != 'x') {
        return NULL;
    }
    char *path = strchr(at, '/');
    if (path != NULL) {
        path[strcspn(path, "\n")] = '\0';
    }
    return path;
}

otr_code otr_scan_mapped(otr_discovery *d, pid_t pid, char *path, size_t cap, otr_file_key *ret,
                         bool *ret_found, otr_err *err)
{
    char line[LINE_BYTES], file[LINE_BYTES + 64];
    *ret_found = false;
    (void)snprintf(file, sizeof(file), "%s/%d/maps", d->proc_root, (int)pid);
    FILE *maps = fopen(file, "re");
    if (maps == NULL) {
        return OTR_OK;
    }
    otr_code rc = OTR_OK;
    path[0] = '\0';
    for (int n = 0; rc == OTR_OK && n < FILES_MOST && fgets(line, sizeof(line), maps) != NULL;) {
        const char *mapped = code_path(line);
        if (mapped == NULL || strcmp(mapped, path) == 0 || strlen(mapped) >= cap) {
            continue;
        }
        n++;
        memcpy(path, mapped, strlen(mapped) + 1);
        /* A path that leads elsewhere by now gives another file: its content decides as well. */
        (void)snprintf(file, sizeof(file), "%s/%d/root%s", d->proc_root, (int)pid, path);
        otr_program program = OTR_PROGRAM_OTHER;
        if (otr_file_key_read(file, ret)) {
            rc = otr_executables_look(&d->executables, file, ret, OTR_LOOK_NOW, &program, err);
        }
        if (rc == OTR_OK && program == OTR_PROGRAM_NGINX) {
            *ret_found = true;
            break;
        }
    }
    (void)fclose(maps);
    return rc;
}
