/* Rules about how blocks work together. */
#include "unit/nginx/check/rules/table.h"

T_NO_OOM(headers_of_the_outer_block_are_not_lost)
{
    static const sample all[] = {
#define R "header-inheritance"
        BAD(R, SERVER("add_header X-Frame-Options DENY; location / { add_header X-A b; }")),
        BAD(R, HTTP("add_header A b; server { location / { add_header B c; } }")),
        BAD(R,
            HTTP("proxy_set_header Host $host; server { location / { proxy_set_header A b; } }")),
        BAD(R, SERVER("fastcgi_param A b; location / { fastcgi_param B c; }")),
        BAD(R, LOC("add_header A b; if ($arg_x) { add_header B c; }")),
        BAD(R, HTTP("add_header_inherit on; add_header A b; server { add_header B c; }")),
        GOOD(R, SERVER("add_header A b; location / { add_header a c; add_header B d; }")),
        GOOD(R, SERVER("add_header A b; location / { expires 1h; }")),
        GOOD(R, SERVER("location / { add_header A b; } location /x { add_header B c; }")),
        GOOD(R, HTTP("add_header_inherit merge; add_header A b; server { add_header B c; }")),
        GOOD(R, SERVER("add_header A b; location / { proxy_set_header B c; }")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(an_if_in_a_location_returns_or_rewrites)
{
    static const sample all[] = {
#define R "if-in-location"
        BAD(R, LOC("if ($arg_x) { add_header A b; }")),
        BAD(R, LOC("if ($arg_x) { proxy_pass http://10.0.0.1; }")),
        BAD(R, LOC("if ($arg_x) { rewrite ^ /y break; }")),
        BAD(R, LOC("if ($arg_x) { expires 1h; set $a b; }")),
        BAD(R, LOC("try_files $uri =404; if ($arg_x) { set $a b; }")),
        GOOD(R, LOC("if ($arg_x) { return 403; }")),
        GOOD(R, LOC("if ($arg_x) { rewrite ^ /y last; }")),
        GOOD(R, LOC("if ($arg_x) { rewrite ^ https://a.example/ permanent; }")),
        GOOD(R, LOC("if ($arg_x) { set $a b; }")),
        GOOD(R, SERVER("if ($arg_x) { set $a b; }")),
        GOOD(R, LOC("try_files $uri =404; if ($arg_x) { return 403; }")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(a_name_that_is_looked_up_at_requests_has_a_resolver)
{
    static const sample all[] = {
#define R "missing-resolver"
        BAD(R, LOC("proxy_pass http://$host;")),
        BAD(R, LOC("set $b app.example; proxy_pass http://$b;")),
        BAD(R, LOC("proxy_pass http://app.example$request_uri;")),
        BAD(R, LOC("proxy_pass http://app.example/$arg_x;")),
        BAD(R, LOC("proxy_pass $scheme://localhost;")),
        BAD(R, HTTP("upstream u { server 10.0.0.1; } server { location / { set $b u; proxy_pass "
                    "http://$b:8080; } }")),
        BAD(R, HTTP("map $arg_x $b { a 10.0.0.1; b app.example; } server { location / { proxy_pass "
                    "http://$b; } }")),
        BAD(R, LOC("fastcgi_pass $arg_x;")),
        BAD(R, STREAM("server { listen 1; proxy_pass $ssl_preread_server_name:443; }")),
        GOOD(R, LOC("resolver 127.0.0.1; proxy_pass http://$host;")),
        GOOD(R, HTTP("server { location / { proxy_pass http://$host; } } resolver 127.0.0.1;")),
        GOOD(R, HTTP("upstream u { server 10.0.0.1; } server { location / { set $b u; proxy_pass "
                     "http://$b; } }")),
        GOOD(R, HTTP("server { location / { proxy_pass http://u$uri; } } upstream u { server "
                     "10.0.0.1; }")),
        GOOD(R, LOC("proxy_pass http://10.0.0.1$request_uri;")),
        GOOD(R, LOC("proxy_pass http://127.0.0.1:$arg_p;")),
        GOOD(R, LOC("set $b unix:/run/x.sock; proxy_pass http://$b;")),
        GOOD(R, LOC("proxy_pass http://app.example;")),
        GOOD(R, SERVER("location / { proxy_pass http://app.example; } location /y { proxy_pass "
                       "http://app.example$request_uri; }")),
        GOOD(R, HTTP("map $arg_x $b { a 10.0.0.1; b [::1]; } server { location / { proxy_pass "
                     "http://$b; } }")),
        GOOD(R, LOC("fastcgi_pass unix:/run/php.sock;")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(servers_of_one_socket_have_names_of_their_own)
{
    static const sample all[] = {
#define R "duplicate-server-name"
        BAD(R, HTTP("server { server_name a; } server { server_name b a; }")),
        BAD(R, HTTP("server { listen 80; server_name A.example; } server { listen *:80; "
                    "server_name a.example; }")),
        BAD(R, HTTP("server { listen 0.0.0.0:80; server_name a; } server { listen 80; server_name "
                    "a; }")),
        BAD(R, HTTP("server { listen 80; } server { listen 80; }")),
        BAD(R, HTTP("server { server_name .a.example; } server { server_name *.a.example; }")),
        BAD(R, HTTP("server { server_name a.example; } server { server_name .a.example; }")),
        GOOD(R, HTTP("server { listen 80; server_name a; } server { listen 81; server_name a; }")),
        GOOD(R, HTTP("server { listen 80; server_name a; } server { listen 10.0.0.1:80; "
                     "server_name a; }")),
        GOOD(
            R,
            HTTP("server { listen 80; server_name a; } server { listen [::]:80; server_name a; }")),
        GOOD(R, HTTP("server { server_name a; } server { server_name b; }")),
        GOOD(
            R,
            HTTP("server { listen 443 ssl; server_name a; } server { listen 80; server_name a; }")),
        GOOD(R, HTTP("server { listen 443 ssl; listen 443 quic; server_name a; }")),
#undef R
#define R "duplicate-listen"
        BAD(R, HTTP("server { listen 80 default_server; } server { listen 80 default_server; "
                    "server_name a; }")),
        BAD(R, HTTP("server { listen 80; listen *:80; }")),
        BAD(R, HTTP("server { listen 80; listen 0.0.0.0:80; }")),
        GOOD(R, HTTP("server { listen 80 default_server; } server { listen 80; }")),
        GOOD(R, HTTP("server { listen 80 default_server; listen [::]:80 default_server; }")),
        GOOD(R, HTTP("server { listen 80 default_server; } server { listen 10.0.0.1:80 "
                     "default_server; }")),
#undef R
#define R "missing-default-server"
        BAD(R, HTTP("server { server_name a; } server { server_name b; }")),
        BAD(R, HTTP("server { listen 81; server_name a; } server { listen 81; server_name _; }")),
        BAD(R, HTTP("server { listen [::]:80; server_name a; } server { listen [::]:80; "
                    "server_name c; }")),
        GOOD(R, HTTP("server { server_name a; }")),
        GOOD(R, HTTP("server { server_name a; } server { listen 80 default_server; }")),
        GOOD(R, HTTP("server { server_name _; } server { server_name b; }")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(a_location_is_reached_by_some_request)
{
    static const sample all[] = {
#define R "shadowed-location"
        BAD(R, SERVER("location ~ \\.php$ { } location ~ \\.php$ { }")),
        BAD(R, SERVER("location ~* \\.php$ { } location ~ \\.php$ { }")),
        BAD(R, SERVER("location ~ ^/ { } location ~ \\.php$ { }")),
        BAD(R, SERVER("location ~ \\.(gif|png|jpg)$ { } location ~ \\.png$ { }")),
        BAD(R, SERVER("location ^~ /a/ { } location ~ ^/a/b { }")),
        BAD(R, SERVER("location ~ ^/a/(.*)x { } location ^~ /a/ { }")),
        BAD(R, SERVER("location /x/ { location ~ y { } location ~ y { } }")),
        BAD(R, SERVER("location ~ ^/api { } location ~ ^/api/v1/(.*)$ { }")),
        GOOD(R, SERVER("location ~ ^/api/v1 { } location ~ ^/api { }")),
        GOOD(R, SERVER("location ~ \\.php$ { } location ~* \\.php$ { }")),
        GOOD(R, SERVER("location ~ \\.png$ { } location ~ \\.(gif|png|jpg)$ { }")),
        GOOD(R, SERVER("location ~ \\.php$ { } location ~ ^/ { }")),
        GOOD(R, SERVER("location /a/ { } location ~ ^/a/b { }")),
        GOOD(R, SERVER("location ^~ /a/ { } location /a/b/ { } location ~ ^/a/b/c { }")),
        GOOD(R, SERVER("location ^~ /a/ { } location ~ ^/(a|b)/c { }")),
        GOOD(R, SERVER("location ^~ /ab { } location ~ ^/ab?c { }")),
        BAD(R, SERVER("location ~ /\\. { } location ~ /\\.ht { }")),
        BAD(R, SERVER("location ~ /\\. { } location ~ /\\.well-known/acme { }")),
        BAD(R, SERVER("location ~ \\.php { } location ~ \\.php$ { }")),
        GOOD(R, SERVER("location ~ /\\. { } location ~ /\\.?ht { }")),
        GOOD(R, SERVER("location ~ /\\.ht { } location ~ /\\. { }")),
        GOOD(R, SERVER("location ~ /\\. { } location ~* /\\.ht { }")),
        GOOD(R, SERVER("location ~ /\\. { } location ~ /\\.a|/b { }")),
        GOOD(R, SERVER("location ~ /a. { } location ~ /a.b { }")),
#undef R
#define R "unreachable-after-return"
        BAD(R, SERVER("return 301 https://a.example; location /x { }")),
        BAD(R, SERVER("location /x { } return 301 https://a.example;")),
        BAD(R, LOC("return 403; proxy_pass http://10.0.0.1;")),
        BAD(R, LOC("return 403; set $a b;")),
        BAD(R, LOC("if ($arg_x) { return 403; rewrite ^ /x; }")),
        GOOD(R, SERVER("return 301 https://a.example;")),
        GOOD(R, SERVER("if ($arg_x) { return 403; } location / { }")),
        GOOD(R, LOC("set $a b; return 200 $a;")),
        GOOD(R, SERVER("return 404; error_page 404 @x; location @x { return 200; }")),
        GOOD(R, LOC("add_header A b; return 204;")),
#undef R
#define R "return-bypasses-access"
        BAD(R, LOC("deny all; return 200 x;")),
        BAD(R, LOC("allow 10.0.0.1; deny all; return 200 x;")),
        BAD(R, LOC("auth_basic x; return 200 x;")),
        GOOD(R, LOC("return 200 x;")),
        GOOD(R, LOC("deny all; proxy_pass http://10.0.0.1;")),
        GOOD(R, LOC("deny all; return 404;")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(allow_and_deny_have_an_effect)
{
    static const sample all[] = {
#define R "access-order"
        BAD(R, LOC("allow all; deny 10.0.0.1;")),
        BAD(R, LOC("deny all; allow 10.0.0.1;")),
        BAD(R, LOC("allow 10.0.0.1;")),
        GOOD(R, LOC("allow 10.0.0.1; deny all;")),
        GOOD(R, LOC("deny 10.0.0.1; allow all;")),
        GOOD(R, LOC("deny all;")),
        GOOD(R, SERVER("deny all; location / { allow all; }")),
        GOOD(R, LOC("satisfy any; allow 10.0.0.1; auth_basic a; auth_basic_user_file b;")),
        BAD(R, LOC("satisfy all; allow 10.0.0.1; auth_basic a; auth_basic_user_file b;")),
        GOOD(R, "allow 10.0.0.0/8;"),
        BAD(R, "deny all; allow 10.0.0.0/8;"),
        BAD(R, "location / { allow 10.0.0.0/8; }"),
#undef R
#define R "satisfy-any"
        BAD(R, LOC("satisfy any; allow 10.0.0.1; deny all; auth_basic x;")),
        BAD(R, LOC("satisfy any; allow all; auth_basic x;")),
        BAD(R, HTTP("satisfy any;")),
        GOOD(R, LOC("satisfy all; allow 10.0.0.1; deny all; auth_basic x;")),
        GOOD(R, LOC("auth_basic x;")),
        GOOD(R, LOC("allow 10.0.0.1; deny all;")),
#undef R
#define R "status-open"
        BAD(R, LOC("stub_status;")),
        BAD(R, LOC("stub_status on; allow 10.0.0.1;")),
        BAD(R, LOC("api write=on;")),
        BAD(R, SERVER("auth_basic x; location / { auth_basic off; stub_status; }")),
        GOOD(R, LOC("stub_status; allow 127.0.0.1; deny all;")),
        GOOD(R, SERVER("allow 127.0.0.1; deny all; location / { stub_status; }")),
        GOOD(R, HTTP("server { listen 127.0.0.1:81; location / { stub_status; } }")),
        GOOD(R, LOC("api; auth_basic x;")),
        GOOD(R, LOC("internal; stub_status;")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(upstreams_can_answer)
{
    static const sample all[] = {
#define R "upstream-down"
        BAD(R, HTTP("upstream u { server 10.0.0.1 down; server 10.0.0.2 down; }")),
        BAD(R, HTTP("upstream u { server 10.0.0.1 backup; }")),
        BAD(R, HTTP("upstream u { keepalive 3; }")),
        BAD(R, STREAM("upstream u { server 10.0.0.1:1 down; }")),
        GOOD(R, HTTP("upstream u { server 10.0.0.1 down; server 10.0.0.2; }")),
        GOOD(R, HTTP("upstream u { server 10.0.0.1; server 10.0.0.2 backup; }")),
        GOOD(R, HTTP("upstream u { zone u 64k; state /var/u; }")),
#undef R
#define R "upstream-unused"
        BAD(R, HTTP("upstream u { server 10.0.0.1; }")),
        BAD(R,
            HTTP("upstream u { server 10.0.0.1; } server { location / { proxy_pass http://v; } }")),
        BAD(R, HTTP("upstream u { server 10.0.0.1; } server { set $a v; location / { proxy_pass "
                    "http://$a; } }")),
        GOOD(
            R,
            HTTP("upstream u { server 10.0.0.1; } server { location / { proxy_pass http://u; } }")),
        GOOD(R, HTTP("upstream u { server 10.0.0.1; } server { set $a u; location / { proxy_pass "
                     "http://$a; } }")),
        GOOD(
            R,
            HTTP(
                "upstream u { server 10.0.0.1; } server { location / { proxy_pass http://$x; } }")),
        GOOD(R, HTTP("upstream u { server 10.0.0.1; } map $arg_x $a { a http://u; } server { "
                     "location / { proxy_pass $a; } }")),
        GOOD(R, "upstream u { server 10.0.0.1; }"),
#undef R
#define R        "upstream-keepalive"
#define UP(text) HTTP("upstream u { server 10.0.0.1; keepalive 9; } server { " text " }")
        BAD(R, UP("location / { proxy_pass http://u; }")),
        BAD(R, UP("location / { proxy_pass http://u; proxy_http_version 1.1; }")),
        BAD(R, UP("proxy_set_header Connection \"\"; location / { proxy_pass http://u; }")),
        BAD(R, UP("location / { fastcgi_pass u; }")),
        GOOD(R, UP("proxy_http_version 1.1; proxy_set_header Connection \"\"; location / { "
                   "proxy_pass http://u; }")),
        GOOD(R, UP("location / { fastcgi_pass u; fastcgi_keep_conn on; }")),
        GOOD(R, UP("location / { proxy_pass http://10.0.0.2; }")),
        GOOD(R, UP("location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header "
                   "Connection $connection_upgrade; }")),
#undef R
    };
    RUN_ALL(all)
}
