/*
 * Every ceiling on what a peer, a file or a guest can make grow, in one place.
 *
 * A limit that a user can set is a default here and a key in the configuration.
 */
#ifndef OTR_BASE_LIMITS_H
#define OTR_BASE_LIMITS_H

#define OTR_MIB (1024U * 1024U)

/* JSON text from anywhere */
#define OTR_LIMIT_JSON_BYTES  (64U * OTR_MIB)
#define OTR_LIMIT_JSON_DEPTH  64
#define OTR_LIMIT_JSON_VALUES 1000000
#define OTR_LIMIT_JSON_ASKED  (16U * 1024U) /* questions of guests that are parsed as a whole */

/* protobuf from guests: a value of an object is four records. Depth is that of JSON. */
#define OTR_LIMIT_PROTOBUF_RECORDS 4000000

/* configuration file */
#define OTR_LIMIT_CONFIG_BYTES   (4U * OTR_MIB)
#define OTR_LIMIT_CONFIG_NODES   100000 /* an alias counts as all that it stands for */
#define OTR_LIMIT_CONFIG_ANCHORS 1000
#define OTR_LIMIT_CONFIG_DEPTH   32 /* leaves room for what a JSON dump puts around it */

/* bus */
#define OTR_LIMIT_BUS_TOPICS        4096 /* topics made at run time for nobody in particular */
#define OTR_LIMIT_BUS_TOPIC_BYTES   128
#define OTR_LIMIT_BUS_FACTS         1024 /* messages kept for later subscribers */
#define OTR_LIMIT_BUS_SUBSCRIBERS   1024
#define OTR_LIMIT_BUS_PATTERNS      256   /* of one subscriber */
#define OTR_LIMIT_BUS_QUEUE         65536 /* messages; the largest `queue` a plugin may ask for */
#define OTR_LIMIT_BUS_QUEUE_BYTES   (64U * OTR_MIB) /* of one queue; a payload counts twice */
#define OTR_LIMIT_BUS_PAYLOAD_BYTES (16U * OTR_MIB)
#define OTR_LIMIT_BUS_ENCODED_BYTES (32U * OTR_MIB) /* a message in the encoding of a guest */
#define OTR_LIMIT_BUS_CAUSE_DEPTH   32 /* answers to answers to … : stops two plugins in a loop */

/* plugins: defaults of `limits:` in the manifest */
#define OTR_LIMIT_PLUGINS                  256
#define OTR_LIMIT_PLUGIN_FILE_BYTES        (64U * OTR_MIB)
#define OTR_LIMIT_PLUGIN_MEMORY_BYTES      (64U * OTR_MIB)
#define OTR_LIMIT_PLUGIN_CALL_MS           1000
#define OTR_LIMIT_PLUGIN_INIT_MS           5000
#define OTR_LIMIT_PLUGIN_QUEUE             1024
#define OTR_LIMIT_PLUGIN_OUTPUT_BYTES      (32U * OTR_MIB)
#define OTR_LIMIT_PLUGIN_VARS_BYTES        OTR_MIB
#define OTR_LIMIT_PLUGIN_LOG_BYTES         4096 /* one log line */
#define OTR_LIMIT_PLUGIN_LOGS_PER_S        100
#define OTR_LIMIT_PLUGIN_HTTP_BYTES        (16U * OTR_MIB) /* body of one answer to http.request */
#define OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES (64U * 1024U)   /* all headers of it */
#define OTR_LIMIT_PLUGIN_URL_BYTES         8192
#define OTR_LIMIT_RESOLVES                 512 /* look-ups of names under way or remembered … */
#define OTR_LIMIT_RESOLVES_OWNER           8   /* … and under way for one plugin */
#define OTR_LIMIT_PLUGIN_SECRET_BYTES      65536
#define OTR_LIMIT_PLUGIN_SIG_BYTES         16384            /* one signature or key file */
#define OTR_LIMIT_PLUGIN_FETCH_MS          30000            /* one download of an https source */
#define OTR_LIMIT_PLUGIN_DOWNLOADS_BYTES   (512U * OTR_MIB) /* all that are kept */
#define OTR_LIMIT_PLUGIN_BATCH_BYTES       OTR_MIB          /* messages an instance takes at once */
#define OTR_LIMIT_PLUGIN_ANSWER_BYTES      65536            /* of info, subscriptions and a hook */
#define OTR_LIMIT_PLUGIN_DEAD_BYTES        (20U * OTR_MIB)  /* dead letters kept for a plugin … */
#define OTR_LIMIT_DEAD_BYTES               (64U * OTR_MIB)  /* … and for all */
#define OTR_LIMIT_PLUGIN_TOPICS            256  /* names that one plugin publishes under */
#define OTR_LIMIT_PLUGIN_PUBLISH_CALL      1024 /* messages published in one guest call */
#define OTR_LIMIT_PLUGIN_PUBLISH_S         5000 /* messages a second, beyond those of one call */
#define OTR_LIMIT_PLUGIN_PUBLISH_MOST_S    1000000

#define OTR_LIMIT_PLUGIN_INSTANCES  64    /* sandboxes of one plugin */
#define OTR_LIMIT_PLUGIN_HOOK_QUEUE 64    /* questions that wait for one plugin */
#define OTR_LIMIT_HOOK_ASKS         256   /* questions under way, all together */
#define OTR_LIMIT_HOOK_MS           60000 /* longest deadline of a question */

/* Wasm modules, beside what a plugin's manifest sets */
#define OTR_LIMIT_WASM_EXTERNS            10000 /* imports, and exports, of one module */
#define OTR_LIMIT_WASM_NAME_BYTES         4096  /* one name of them */
#define OTR_LIMIT_WASM_TABLE_ELEMENTS     100000
#define OTR_LIMIT_WASM_COMPONENT_ELEMENTS 20000 /* of each table of a component */
#define OTR_LIMIT_WASM_MEMORIES           8 /* that one module defines, beside those it imports */
#define OTR_LIMIT_WASM_TABLES             8
#define OTR_LIMIT_WASM_MEMORY_BYTES       (4096ULL * OTR_MIB) /* of a module; plugins have less */
#define OTR_LIMIT_WASM_COMPILE_BYTES \
    (2048ULL * OTR_MIB)                     /* what the compiler may take, in its child */
#define OTR_LIMIT_WASM_COMPILE_MS    120000 /* default of plugins.compile_limit */
#define OTR_LIMIT_WASM_CODE_BYTES    (1024U * OTR_MIB) /* one compiled artefact */
#define OTR_LIMIT_WASM_CACHE_BYTES   (512U * OTR_MIB)  /* all artefacts of a cache folder */
#define OTR_LIMIT_WASM_STACK_BYTES   OTR_MIB           /* of a guest's calls within each other */
#define OTR_LIMIT_THREAD_STACK_BYTES (8U * OTR_MIB)    /* of a thread that may run a guest */
#define OTR_LIMIT_WASI_FDS           128               /* descriptors of one instance */
#define OTR_LIMIT_WASI_IO_BYTES      OTR_MIB           /* of one read, write or listing */
#define OTR_LIMIT_WASI_PRINT_BYTES   65536             /* of one write to the log */

#define OTR_LIMIT_KV_KEY_BYTES 512
#define OTR_LIMIT_KV_ROW_BYTES 64      /* what a key takes beside its bytes and its value's */
#define OTR_LIMIT_KV_BYTES     OTR_MIB /* default of `grants.kv_bytes` once kv is granted */

/* NGINX */
#define OTR_LIMIT_NGINX_CONFIG_BYTES (64U * OTR_MIB) /* one configuration file */
#define OTR_LIMIT_NGINX_CONFIG_FILES 10000
#define OTR_LIMIT_NGINX_COMBINED \
    20000000 /* directives, includes counted as often as they stand there */
#define OTR_LIMIT_NGINX_INCLUDE_DEPTH   32
#define OTR_LIMIT_NGINX_CHECKED         5000000  /* directives that are checked, counted so too */
#define OTR_LIMIT_NGINX_CHECK_STEPS     100000   /* values that are followed for one directive … */
#define OTR_LIMIT_NGINX_CHECK_ALL_STEPS 20000000 /* … and in all */
#define OTR_LIMIT_NGINX_FINDINGS        50000    /* kept of one check; the rest is counted */
#define OTR_LIMIT_NGINX_CERT_BYTES      (1U * OTR_MIB) /* one file with certificates or a key */
#define OTR_LIMIT_NGINX_CHECK_NAMES     64             /* host names that one check resolves */
#define OTR_LIMIT_NGINX_CONFIG_ERRORS   1000 /* kept of those that a tolerant reader meets */
#define OTR_LIMIT_NGINX_BLOCK_DEPTH     64
#define OTR_LIMIT_NGINX_INSTANCES       256
#define OTR_LIMIT_NGINX_STRANGERS       128  /* of these: of users who are neither root nor ours */
#define OTR_LIMIT_NGINX_EXECUTABLES     4096 /* remembered: NGINX or not */
#define OTR_LIMIT_NGINX_BINARY_BYTES    (64U * OTR_MIB) /* of one executable, its constant parts */
#define OTR_LIMIT_NGINX_CONFIGURE_BYTES 65536           /* configure arguments in an executable */
#define OTR_LIMIT_NGINX_STATUS_BYTES    65536           /* body of stub_status */
#define OTR_LIMIT_NGINX_LOG_FORMATS     16              /* of one access log */
#define OTR_LIMIT_NGINX_LOG_OLD         8 /* renamed files of one access log, still followed */
#define OTR_LIMIT_NGINX_LOG_COPIES      4 /* files made beside one that are held open for a while */
#define OTR_LIMIT_NGINX_LOG_FOLDER      200000 /* names in a folder that are looked at */
#define OTR_LIMIT_NGINX_LOG_SHARE       64   /* logs whose formats are compared with a new one's */
#define OTR_LIMIT_NGINX_LOG_OPEN        4096 /* descriptors of all logs together … */
#define OTR_LIMIT_NGINX_LOG_RESERVE     256  /* … and half of what RLIMIT_NOFILE has beyond these */
#define OTR_LIMIT_NGINX_REMARKS         32   /* of one instance */
#define OTR_LIMIT_NGINX_REGEX           1024 /* steps of a regular expression that is simulated */
#define OTR_LIMIT_NGINX_STATUS_ITEMS    100000  /* servers, names, listens, locations: each */
#define OTR_LIMIT_NGINX_STATUS_URLS     64      /* of one instance */
#define OTR_LIMIT_DIFF_LINES            4000000 /* that differ, of both texts, and are compared */
#define OTR_LIMIT_IMPACT_BYTES          (256U * OTR_MIB) /* all files of one configuration */
#define OTR_LIMIT_IMPACT_ITEMS          200  /* of each list that says what a change touches */
#define OTR_LIMIT_IMPACT_TEXT_BYTES     1024 /* of each text in them */
#define OTR_LIMIT_IMPACT_ERRORS         50
#define OTR_LIMIT_IMPACT_DIFF_BYTES     (16U * OTR_MIB) /* of all files */
#define OTR_LIMIT_IMPACT_ASKED_BYTES    OTR_MIB         /* of the diff that plugins are shown */
#define OTR_LIMIT_HOSTS_BYTES           OTR_MIB         /* /etc/hosts */

/* the host */
#define OTR_LIMIT_HOST_TEXT_BYTES (4U * OTR_MIB) /* one file of /proc or /sys */
#define OTR_LIMIT_HOST_ITEMS      1024 /* processors, disks, file systems, interfaces: each */
/* an apply of a configuration */
#define OTR_LIMIT_APPLY_FINDINGS     64             /* lines of NGINX in one result */
#define OTR_LIMIT_APPLY_REMARKS      32             /* of one result */
#define OTR_LIMIT_APPLY_FILES_SHOWN  1000           /* of one result */
#define OTR_LIMIT_APPLY_TEST_BYTES   (256U * 1024U) /* what `nginx -t` may write */
#define OTR_LIMIT_APPLY_LOGS         256            /* error logs of one instance */
#define OTR_LIMIT_APPLY_PROBES       32             /* of one request */
#define OTR_LIMIT_APPLY_PROBE_MS     5000           /* default and … */
#define OTR_LIMIT_APPLY_PROBE_MOST   60000          /* … most of a probe's time */
#define OTR_LIMIT_APPLY_PROBE_BYTES  OTR_MIB        /* of its answer */
#define OTR_LIMIT_APPLY_WATCH_MS     3600000        /* most of a probation */
#define OTR_LIMIT_APPLY_SLOWER       100000         /* percent */
#define OTR_LIMIT_APPLY_IMPACT_BYTES (4U * OTR_MIB) /* what a change means, and its diff */
#define OTR_LIMIT_APPLY_RUNNING      256            /* transactions, those that wait too */
/* changes of NGINX's files */
#define OTR_LIMIT_CHANGE_FILES         10000 /* of one set; as many below a synced folder */
#define OTR_LIMIT_CHANGE_FILE_BYTES    (64U * OTR_MIB)  /* content of one file */
#define OTR_LIMIT_CHANGE_BYTES         (256U * OTR_MIB) /* all contents of one set */
#define OTR_LIMIT_CHANGE_PATH_BYTES    4095
#define OTR_LIMIT_CHANGE_DEPTH         64   /* folders in folders of a source */
#define OTR_LIMIT_CHANGE_SYNCED        64   /* folders that one set is the whole truth of */
#define OTR_LIMIT_CHANGE_FOLDERS       1024 /* that one transaction works in: a descriptor each */
#define OTR_LIMIT_CHANGE_NOTE_BYTES    65536
#define OTR_LIMIT_CHANGE_XATTR_BYTES   65536  /* all extended attributes of one file */
#define OTR_LIMIT_CHANGE_TAR_MEMBERS   100000 /* folders, too */
#define OTR_LIMIT_CHANGE_JOURNAL_BYTES (32U * OTR_MIB)
/* history of configurations */
#define OTR_LIMIT_HISTORY_FILE_BYTES   (64U * OTR_MIB)     /* whose content is kept */
#define OTR_LIMIT_HISTORY_DIGEST_BYTES (4096ULL * OTR_MIB) /* that are read for a digest */
#define OTR_LIMIT_HISTORY_FILES        100000              /* of one version */
#define OTR_LIMIT_HISTORY_ITEMS        100000              /* of one transaction */
#define OTR_LIMIT_HISTORY_PATH_BYTES   4096
#define OTR_LIMIT_HISTORY_NAME_BYTES   256           /* ids, names */
#define OTR_LIMIT_HISTORY_TEXT_BYTES   (64U * 1024U) /* messages */
#define OTR_LIMIT_HISTORY_JSON_BYTES   OTR_MIB       /* verdicts, impact: each */
#define OTR_LIMIT_HISTORY_PAGE         50            /* transactions of one list */
#define OTR_LIMIT_HISTORY_PAGE_MOST    500
#define OTR_LIMIT_HISTORY_CHECK_BYTES \
    (64U * OTR_MIB) /* a larger database is not checked at start */
/* drift of configurations */
#define OTR_LIMIT_DRIFT_FILES       20000 /* of one instance: configuration and what it names */
#define OTR_LIMIT_DRIFT_NAMED       4096  /* of these: named by directives */
#define OTR_LIMIT_DRIFT_LISTED      256   /* files of one report; more are counted */
#define OTR_LIMIT_DRIFT_WATCHES     2048  /* folders that inotify watches, all instances together */
#define OTR_LIMIT_DRIFT_BURST_MS    2000  /* a burst that does not end is looked at nonetheless */
#define OTR_LIMIT_DRIFT_NAMED_BYTES (16U * OTR_MIB) /* of one such file, that is read */
#define OTR_LIMIT_DRIFT_WRITERS     256             /* changes whose writers are remembered */
#define OTR_LIMIT_DRIFT_PROCESSES   4096            /* processes that are asked for open files */
#define OTR_LIMIT_DRIFT_JSON_BYTES  10240           /* of the list of files in an event */

/* a management plane: what agents may tell it */
#define OTR_LIMIT_PLANE_AGENTS     10000
#define OTR_LIMIT_PLANE_INSTANCES  256   /* of one agent */
#define OTR_LIMIT_PLANE_LABELS     64    /* of one agent */
#define OTR_LIMIT_PLANE_FILES      10000 /* of one instance */
#define OTR_LIMIT_PLANE_TEXT_BYTES 1024  /* of each text */

/* metric registry */
#define OTR_LIMIT_METRIC_FAMILIES     2048
#define OTR_LIMIT_METRIC_SERIES       20000
#define OTR_LIMIT_METRIC_LABELS       16
#define OTR_LIMIT_METRIC_BUCKETS      64
#define OTR_LIMIT_METRIC_LABEL_BYTES  1024 /* all label values of one series together */
#define OTR_LIMIT_METRIC_NAME_BYTES   256
#define OTR_LIMIT_METRIC_OUTPUT_BYTES (32U * OTR_MIB)

/* export of metrics */
#define OTR_LIMIT_EXPORT_BATCH_BYTES  (16U * OTR_MIB) /* one request */
#define OTR_LIMIT_EXPORT_QUEUE_BYTES  (32U * OTR_MIB) /* that wait for one collector */
#define OTR_LIMIT_EXPORT_ANSWER_BYTES 65536U          /* a collector's answer */
#define OTR_LIMIT_EXPORT_PIPELINES    16              /* exporters in use, all pipelines together */

/* the process */
#define OTR_LIMIT_LOG_BYTES (256U * 1024U) /* lines that wait for one output of the log */
#define OTR_LIMIT_FDS       524288 /* the soft limit of descriptors is raised to the hard one or this */

/* HTTP server and admin API */
#define OTR_LIMIT_HTTP_CONNECTIONS  256 /* of one listener */
#define OTR_LIMIT_HTTP_BODY_BYTES   OTR_MIB
#define OTR_LIMIT_HTTP_REPLY_BYTES  (32U * OTR_MIB)
#define OTR_LIMIT_HTTP_ROUTES       256
#define OTR_LIMIT_HTTP_STREAMS      64              /* live event streams of one listener */
#define OTR_LIMIT_HTTP_STREAM_BYTES (256U * 1024U)  /* what may wait for one slow reader */
#define OTR_LIMIT_HTTP_UNREAD_BYTES (64U * OTR_MIB) /* all answers that wait for their readers */
#define OTR_LIMIT_HTTP_IDLE_MS      15000 /* a kept connection without a new request is closed */
#define OTR_LIMIT_HTTP_REQUEST_MS   10000 /* for header and body of one request, all together */
#define OTR_LIMIT_HTTP_TAKE_MS      30000 /* for the peer to take one answer */
#define OTR_LIMIT_EVENTS_KEPT       256
#define OTR_LIMIT_EVENT_BYTES       (16U * 1024U) /* a larger event is kept without its data */
#define OTR_LIMIT_REASONS           500           /* of one status answer; more are counted */
#define OTR_LIMIT_PROBLEMS_MISSED   16384         /* that are counted when there is no room */
#define OTR_LIMIT_PROBLEMS          256           /* that status shows at a time */
#define OTR_LIMIT_INSTANCE_SAMPLES  120           /* history that the status page draws */

/* What an event about an instance lists at most, so that it stays below OTR_LIMIT_EVENT_BYTES */
#define OTR_LIMIT_INSTANCE_WORKERS       256
#define OTR_LIMIT_INSTANCE_LOGS_BYTES    6144
#define OTR_LIMIT_INSTANCE_REMARKS_BYTES 4096
#define OTR_LIMIT_APPLY_EVENT_BYTES      4096 /* of an event about an apply, each list of it */

/* gRPC: defaults of what a channel or a server is told, and ceilings of a connection */
#define OTR_LIMIT_TLS_FILE_BYTES    OTR_MIB         /* a certificate, a key, a file of roots */
#define OTR_LIMIT_RPC_TOKEN_BYTES   65536U          /* a file of a token */
#define OTR_LIMIT_RPC_MESSAGE_BYTES (4U * OTR_MIB)  /* one message, unpacked */
#define OTR_LIMIT_RPC_HEADER_BYTES  65536U          /* metadata that a peer sends at a time */
#define OTR_LIMIT_RPC_FIELDS        256             /* and how many */
#define OTR_LIMIT_RPC_QUEUE_BYTES   OTR_MIB         /* of a call: with more no message is taken */
#define OTR_LIMIT_RPC_SENT_BYTES    (64U * OTR_MIB) /* that wait for the peer on one connection */
#define OTR_LIMIT_RPC_HELD_BYTES    (64U * OTR_MIB) /* received on one connection, not delivered */
#define OTR_LIMIT_RPC_WINDOW_BYTES  65535U          /* what a call's peer may send unread … */
#define OTR_LIMIT_RPC_WIDE_BYTES    OTR_MIB         /* … and while a large message comes */
#define OTR_LIMIT_RPC_STREAMS       1000            /* calls under way on a server's connection */
#define OTR_LIMIT_RPC_CALLS         10000           /* of one channel */
#define OTR_LIMIT_RPC_CONNECTIONS   1024            /* of one server */
#define OTR_LIMIT_RPC_OUT_BYTES     65536U          /* that wait for one socket, about */
#define OTR_LIMIT_RPC_RESETS        1000            /* calls a peer may reset at once … */
#define OTR_LIMIT_RPC_RESETS_S      100             /* … and in a second */
#define OTR_LIMIT_RPC_CONTROLS      2000            /* the same for frames that carry no call */
#define OTR_LIMIT_RPC_CONTROLS_S    1000
#define OTR_LIMIT_RPC_PROXY_BYTES   16384U /* a proxy's answer to CONNECT */
#define OTR_LIMIT_RPC_DRAINING      4      /* connections of a channel that end slowly */
#define OTR_LIMIT_RPC_HANDSHAKE_MS  20000  /* from accept() to the first settings */

/* MPI: one message of a peer */
#define OTR_LIMIT_MPI_DEPTH       32
#define OTR_LIMIT_MPI_FIELDS      400000U /* of a message and all that is in it */
#define OTR_LIMIT_MPI_ARENA_BYTES (48U * OTR_MIB)
#define OTR_LIMIT_MPI_SEND_BYTES  (4U * OTR_MIB)
#define OTR_LIMIT_MPI_ANSWERS     256 /* that wait for a stream */

#endif
