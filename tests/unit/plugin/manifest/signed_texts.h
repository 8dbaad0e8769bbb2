/* A plugin, the keys of two people, and the first one's signatures of it. */
#ifndef OTR_TESTS_UNIT_PLUGIN_MANIFEST_SIGNED_TEXTS_H
#define OTR_TESTS_UNIT_PLUGIN_MANIFEST_SIGNED_TEXTS_H

#include "base/base.h"

/* Made with minisign 0.11. */
#define PLUGIN "\0asm test plugin bytes"
#define KEY_A  "RWTJRYxHTB77iu5N7cLmzML0QFrXwBei04chTGGwI7hr7c3WOP5PLTcm"
#define KEY_B  "RWRYefmX3xl0ujp5eROUj9KffPX6Zqj3SIbdNnF7Ulo38xYaTMU0GMU4"
#define HEAD   "untrusted comment: signature from minisign secret key\n"
#define SIG_ED                                                             \
    "RWTJRYxHTB77in7huOjeEVnlpsZ1cnZ8TVQJQWOUdqIxiLLaCtDQNLSRcovSTXl5CLOi" \
    "W+c+i5mQ1XgS8lyxCCyzP2bP2GLrNw0=\n"
#define GLOBAL_ED \
    "ApRQnr4xebuDOMAko20x4cMyZTAj1PPXbssWNA7bUziXowjYOqwCrB0MKgmXGqagnnDfcS1ZfiEwx8j/ai4GAg==\n"
#define SIG_PREHASHED                                                      \
    "RUTJRYxHTB77itqoqx4yheM6TPbzn3E9yl8N+vmj+411sQfhbk01oNWDCdR21qXVL17O" \
    "B8nnUIJ8FlGvTvm975h86KTrcvHfHgk=\n"
#define GLOBAL_PREHASHED \
    "SwaFNABIdzHXFVRfs4TaNKaKCUTQv8VfAgo7VSTzoKAvNt9KQLG2Pi6sfFZxCA/T5xZTA/WCRqgWcCXgzV4kDA==\n"
#define FILE_ED HEAD SIG_ED "trusted comment: legacy\n" GLOBAL_ED
#define FILE_PREHASHED \
    HEAD SIG_PREHASHED "trusted comment: release 1.0 of plugin\n" GLOBAL_PREHASHED

static const otr_bytes plugin = { (const uint8_t *)PLUGIN, sizeof(PLUGIN) - 1 };

#endif
