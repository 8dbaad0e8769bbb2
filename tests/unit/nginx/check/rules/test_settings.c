/* Rules about single settings. */
#include "unit/nginx/check/rules/table.h"

T_NO_OOM(tls_is_of_today)
{
    static const sample all[] = {
#define R "tls-protocols"
        BAD(R, HTTP("ssl_protocols TLSv1 TLSv1.2;")),
        BAD(R, SERVER("ssl_protocols SSLv3;")),
        BAD(R, LOC("proxy_ssl_protocols TLSv1.1;")),
        BAD(R, HTTP("server { listen 443 ssl; ssl_certificate a; ssl_certificate_key a; }")),
        GOOD(R, HTTP("ssl_protocols TLSv1.2 TLSv1.3;")),
        GOOD(R, HTTP("ssl_protocols TLSv1.3; server { listen 443 ssl; ssl_certificate a; }")),
        GOOD(R, HTTP("server { listen 80; }")),
#undef R
#define R "tls-ciphers"
        BAD(R, HTTP("ssl_ciphers ALL;")),
        BAD(R, HTTP("ssl_ciphers HIGH:RC4;")),
        BAD(R, HTTP("ssl_ciphers \"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-RC4-SHA\";")),
        BAD(R, HTTP("ssl_ciphers AES128-SHA:DES-CBC3-SHA;")),
        BAD(R, HTTP("ssl_ciphers HIGH:eNULL;")),
        BAD(R, HTTP("ssl_ciphers ALL:!ADH:EXPORT56;")),
        BAD(R, HTTP("ssl_ciphers DEFAULT@SECLEVEL=0:@SECLEVEL=0;")),
        BAD(R, LOC("proxy_ssl_ciphers aNULL;")),
        GOOD(R, HTTP("ssl_ciphers HIGH:!aNULL:!MD5;")),
        GOOD(R, HTTP("ssl_ciphers ALL:!aNULL:!eNULL:!RC4:!3DES;")),
        GOOD(R, HTTP("ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305;")),
        GOOD(R, HTTP("ssl_ciphers HIGH:!RC4:!DES:!3DES:!EXPORT:!NULL;")),
        GOOD(R, HTTP("ssl_ciphers PROFILE=SYSTEM;")),
        GOOD(R, HTTP("ssl_ciphers EECDH+AESGCM:EDH+AESGCM;")),
#undef R
#define R "ssl-without-certificate"
        BAD(R, HTTP("server { listen 443 ssl; }")),
        BAD(R, HTTP("server { listen 443 ssl; ssl_certificate a; } server { listen 443 ssl; "
                    "server_name b; }")),
        BAD(R, HTTP("server { listen 443 quic; }")),
        GOOD(R, HTTP("server { listen 443 ssl; ssl_certificate a; }")),
        GOOD(R, HTTP("ssl_certificate a; server { listen 443 ssl; }")),
        GOOD(R, HTTP("server { listen 443 ssl; ssl_reject_handshake on; }")),
        GOOD(R, HTTP("server { listen 80; }")),
#undef R
#define R "proxy-ssl-verify"
        BAD(R, LOC("proxy_pass https://a.example;")),
        BAD(R, LOC("proxy_pass https://a.example; proxy_ssl_verify off;")),
        BAD(R, LOC("grpc_pass grpcs://a.example;")),
        GOOD(R, LOC("proxy_pass http://a.example;")),
        GOOD(R, SERVER("proxy_ssl_verify on; location / { proxy_pass https://a.example; }")),
        GOOD(R, LOC("grpc_pass grpc://a.example;")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(settings_mean_what_they_seem_to)
{
    static const sample all[] = {
#define R "valid-referers"
        BAD(R, LOC("valid_referers none server_names;")),
        BAD(R, SERVER("valid_referers server_names none;")),
        BAD(R, LOC("valid_referers none blocked;")),
        GOOD(R, LOC("valid_referers server_names;")),
        GOOD(R, LOC("valid_referers blocked a.example;")),
        GOOD(R, LOC("valid_referers *.example;")),
#undef R
#define R "underscores-in-headers"
        BAD(R, HTTP("underscores_in_headers on;")),
        BAD(R, SERVER("underscores_in_headers on;")),
        BAD(R, HTTP("underscores_in_headers ON;")),
        GOOD(R, HTTP("underscores_in_headers off;")),
        GOOD(R, HTTP("")),
        GOOD(R, HTTP("ignore_invalid_headers on;")),
#undef R
#define R "merge-slashes"
        BAD(R, HTTP("merge_slashes off;")),
        BAD(R, SERVER("merge_slashes off;")),
        BAD(R, SERVER("merge_slashes Off;")),
        GOOD(R, HTTP("merge_slashes on;")),
        GOOD(R, SERVER("merge_slashes on;")),
        GOOD(R, HTTP("")),
#undef R
#define R "autoindex"
        BAD(R, HTTP("autoindex on;")),
        BAD(R, LOC("autoindex on;")),
        BAD(R, SERVER("autoindex on;")),
        GOOD(R, LOC("autoindex off;")),
        GOOD(R, LOC("autoindex_format json;")),
        GOOD(R, LOC("")),
#undef R
#define R "server-tokens"
        BAD(R, HTTP("server_tokens on;")),
        BAD(R, LOC("server_tokens on;")),
        BAD(R, HTTP("server_tokens build;")),
        GOOD(R, HTTP("server_tokens off;")),
        GOOD(R, HTTP("")),
        GOOD(R, HTTP("server_tokens \"\";")),
#undef R
#define R "multiline-header"
        BAD(R, LOC("add_header A \"b\n c\";")),
        BAD(R, LOC("add_header A \"b\\n c\";")),
        BAD(R, LOC("proxy_set_header A 'b\n\tc';")),
        GOOD(R, LOC("add_header A \"b c\";")),
        GOOD(R, LOC("add_header A\n b;")),
        GOOD(R, LOC("return 200 \"a\nb\";")),
        BAD(R, LOC("more_set_headers -t 'text/html' 'X-A: b' 'X-B: c\n d';")),
        BAD(R, LOC("more_set_headers 'X-A: b\n c';")),
        GOOD(R, LOC("more_set_headers -t 'text/html\n text/plain' 'X-A: b';")),
#undef R
#define R "root-in-location"
        BAD(R, SERVER("location / { root /a; } location /b { }")),
        BAD(R, SERVER("location /b { } location / { root /a; index i; }")),
        BAD(R, SERVER("location / { root /a; } location ~ b { }")),
        GOOD(R, SERVER("root /a; location / { root /b; } location /b { }")),
        GOOD(R, SERVER("location / { root /a; }")),
        GOOD(R, SERVER("location /b { root /a; } location / { }")),
#undef R
#define R "try-files-alias"
        BAD(R, LOC("alias /a/; try_files $uri =404;")),
        BAD(R, LOC("try_files $uri $uri/ /x/i; alias /a/;")),
        BAD(R, LOC("alias /a/; try_files ${uri} =404;")),
        GOOD(R, LOC("root /a; try_files $uri =404;")),
        GOOD(R, LOC("alias /a/;")),
        GOOD(R, SERVER("location /x/ { alias /a/; } location / { try_files $uri =404; }")),
#undef R
#define R "error-log-off"
        BAD(R, "error_log off; events {}"),
        BAD(R, HTTP("error_log off;")),
        BAD(R, LOC("error_log off crit;")),
        GOOD(R, HTTP("error_log /dev/null crit;")),
        GOOD(R, HTTP("access_log off;")),
        GOOD(R, HTTP("error_log /var/log/off;")),
#undef R
#define R "rlimit-nofile"
        BAD(R, "worker_rlimit_nofile 1024; events { worker_connections 4096; }"),
        BAD(R, "events { worker_connections 4096; } worker_rlimit_nofile 4095;"),
        BAD(R, "worker_rlimit_nofile 1; events { worker_connections 2; }"),
        GOOD(R, "worker_rlimit_nofile 8192; events { worker_connections 4096; }"),
        GOOD(R, "events { worker_connections 4096; }"),
        GOOD(R, "worker_rlimit_nofile 4096; events { worker_connections 4096; }"),
#undef R
#define R "public-resolver"
        BAD(R, HTTP("resolver 8.8.8.8;")),
        BAD(R, HTTP("resolver 127.0.0.1 1.1.1.1 valid=30s;")),
        BAD(R, HTTP("resolver [2606:4700:4700::1111]:53;")),
        GOOD(R, HTTP("resolver 127.0.0.53 valid=10s ipv6=off;")),
        GOOD(R, HTTP("resolver 10.0.0.2:53 172.16.1.1 192.168.0.1;")),
        GOOD(R, HTTP("resolver [::1] dns.example;")),
#undef R
#define R "regex-backtracking"
        BAD(R, SERVER("location ~ ^/(a+)+$ { }")),
        BAD(R, SERVER("location ~ ^/(\\w+\\s?)*$ { }")),
        BAD(R, SERVER("rewrite ^/(([a-z])+.)+[A-Z]([a-z])+$ /x;")),
        BAD(R, SERVER("location ~ (a|a)*b { }")),
        BAD(R, HTTP("map $uri $x { ~^(.*)*x a; }")),
        GOOD(R, SERVER("location ~ ^/([^/]+/)+$ { }")),
        GOOD(R, SERVER("location ~ ^/(a|b)+$ { }")),
        GOOD(R, SERVER("location ~ \\.php$ { }")),
        GOOD(R, SERVER("location ~ ^(.+\\.php)(/.+)$ { }")),
        GOOD(R, SERVER("location ~ (a++)+b { }")),
        GOOD(R, SERVER("location ~ ^/([a-z]+(-[a-z]+)*)$ { }")),
#undef R
#define R "parse"
        BAD(R, "http { server {"),
        BAD(R, "http { listen 80; }"),
        BAD(R, "events {} include nowhere.conf;"),
        GOOD(R, "events {}"),
        GOOD(R, "server { listen 80; }"),
        GOOD(R, "location / { return 200; }"),
#undef R
    };
    RUN_ALL(all)
}
