#include "base/clock.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return otr_cli_main(argc, argv, otr_now_ns());
}
