#include "cli/input.h"

#include <string.h>
#include <unistd.h>

otr_code otr_cli_read_input(const char *input, otr_buf *out, otr_err *err)
{
    if (input == NULL) {
        return OTR_OK;
    }
    if (strcmp(input, "-") == 0) {
        return otr_buf_read_fd(out, STDIN_FILENO, err);
    }
    return input[0] == '@' ? otr_buf_read_file(out, input + 1, err) : otr_buf_adds(out, input, err);
}
