/* Rules about what a request can bring about. */
#include "unit/nginx/check/rules/table.h"

/* Many runs: each under a failing allocation would take hours. */
T_NO_OOM(an_alias_must_keep_requests_in_its_folder)
{
    static const sample all[] = {
#define R "alias-traversal"
        BAD(R, SERVER("location /img { alias /data/img/; }")),
        BAD(R, SERVER("location ^~ /img { alias /data/img/; }")),
        BAD(R, SERVER("location /a/ { location /a/b { alias /data/; } }")),
        BAD(R, SERVER("location /i { alias \"/data/i/\"; }")),
        BAD(R, SERVER("location /i { alias /data/$host/; }")),
        BAD(R, SERVER("location ~ ^/img(.*)$ { alias /data/img/$1; }")),
        BAD(R, SERVER("location ~ ^/img/?(.*)$ { alias /data/img/$1; }")),
        BAD(R, SERVER("location ~ ^/(a|b)(?<rest>.*)$ { alias /data/$1/$rest; }")),
        BAD(R, SERVER("set $d /data/; location /i { alias $d; }")),
        GOOD(R, SERVER("location /img/ { alias /data/img/; }")),
        GOOD(R, SERVER("location /img { alias /data/img; }")),
        GOOD(R, SERVER("location = /img { alias /data/img/; }")),
        GOOD(R, SERVER("location /img { root /data/; }")),
        GOOD(R, SERVER("location / { alias /data/; }")),
        GOOD(R, SERVER("location ~ ^/img { alias /data/img/; }")),
        GOOD(R, SERVER("location ~ ^/img/(.*)$ { alias /data/img/$1; }")),
        GOOD(R, SERVER("location ~ ^/users/(.+\\.(?:gif|jpe?g|png))$ { alias /data/w3/$1; }")),
        GOOD(R, SERVER("location ~ ^/img(?:/(.*))?$ { alias /data/img/$1; }")),
        GOOD(R, SERVER("location ~ ^/img([a-z]+)$ { alias /data/img/$1; }")),
        GOOD(R, SERVER("location ~ ^/img(.*)$ { alias /data/img$1; }")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(the_host_that_is_handed_on_is_no_made_up_one)
{
    static const sample all[] = {
#define R "host-spoofing"
        BAD(R, LOC("proxy_set_header Host $http_host; proxy_pass http://127.0.0.1;")),
        BAD(R, HTTP("proxy_set_header host \"$http_host\";")),
        BAD(R, LOC("proxy_set_header Host $arg_host;")),
        BAD(R, LOC("proxy_set_header Host ${http_x_forwarded_host};")),
        BAD(R, LOC("set $h $http_host; proxy_set_header Host $h;")),
        BAD(R, HTTP("map $http_x $h { default $http_host; a b; } proxy_set_header Host $h;")),
        BAD(R, LOC("grpc_set_header Host $http_host;")),
        GOOD(R, LOC("proxy_set_header Host $host;")),
        GOOD(R, LOC("proxy_set_header Host $proxy_host;")),
        GOOD(R, LOC("proxy_set_header Host example.com;")),
        GOOD(R, LOC("proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;")),
        GOOD(R, HTTP("map $http_host $h { a.example a; b.example b; } proxy_set_header Host $h;")),
        GOOD(R, SERVER("if ($http_host != a.example) { return 444; } location / { proxy_set_header "
                       "Host $http_host; }")),
        GOOD(R, LOC("proxy_set_header Host $server_name;")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(a_request_does_not_choose_the_host_that_is_asked)
{
    static const sample all[] = {
#define R "ssrf"
        BAD(R, LOC("proxy_pass http://$arg_host;")),
        BAD(R, LOC("proxy_pass $arg_url;")),
        BAD(R, LOC("proxy_pass http://$http_x_target/a;")),
        BAD(R, LOC("proxy_pass https://${cookie_backend}/;")),
        BAD(R, LOC("proxy_pass $scheme://$arg_h:8080/x;")),
        BAD(R, SERVER("location ~ ^/p/(.*)$ { proxy_pass http://$1; }")),
        BAD(R, SERVER("location ~ ^/p/(?<t>[^/]+)/ { proxy_pass http://$t; }")),
        BAD(R, SERVER("location ~ ^/p/([^/]+)$ { proxy_pass http://$1.internal.example; }")),
        BAD(R, SERVER("location ~ ^/p(.*)$ { proxy_pass http://backend$1; }")),
        BAD(R, SERVER("location /p { rewrite ^/p/(.+)$ /$1 break; proxy_pass http://$1; }")),
        BAD(R, SERVER("location /p { set $t $arg_t; proxy_pass http://$t; }")),
        BAD(R, HTTP("map $arg_t $t { default $arg_t; a b; } server { location / { proxy_pass "
                    "http://$t; } }")),
        BAD(R,
            HTTP("map $arg_t $t { ~^(.+)$ $1; } server { location / { proxy_pass http://$t; } }")),
        BAD(R,
            HTTP("map $arg_t $t { ~x $arg_t; } server { location / { proxy_pass http://$t; } }")),
        BAD(R, SERVER("location / { fastcgi_pass $arg_sock; }")),
        BAD(R, SERVER("location / { grpc_pass grpc://$http_grpc; }")),
        BAD(R, SERVER("location / { uwsgi_pass $arg_u; }")),
        BAD(R, SERVER("location / { scgi_pass $cookie_s; }")),
        BAD(R, LOC("proxy_pass http://127.0.0.1:$arg_port;")),
        BAD(R, LOC("proxy_pass http://$host;")),
        BAD(R, LOC("if ($arg_u ~ (.*)) { proxy_pass http://$1; }")),
        BAD(R, SERVER("rewrite ^/go$ /in/ last; location /in/ { internal; proxy_pass $arg_u; }")),
        BAD(R, STREAM("server { listen 443; proxy_pass $ssl_preread_server_name:443; }")),
        GOOD(R, LOC("proxy_pass http://backend$request_uri;")),
        GOOD(R, LOC("proxy_pass http://backend$is_args$args;")),
        GOOD(R, SERVER("location ~ ^(.*)$ { proxy_pass http://backend$1; }")),
        GOOD(R, SERVER("location ~ (.*)$ { proxy_pass http://backend$1; }")),
        BAD(R, SERVER("location ~ x(.*)$ { proxy_pass http://backend$1; }")),
        GOOD(R, LOC("proxy_pass http://backend/$arg_x;")),
        GOOD(R, LOC("proxy_pass http://backend/a?u=$arg_url;")),
        GOOD(R, LOC("proxy_pass http://127.0.0.1;")),
        GOOD(R, SERVER("location ~ ^/p/(a|b|c)/ { proxy_pass http://$1.internal; }")),
        GOOD(R, SERVER("location ~ ^/p/([a-z0-9]+)/ { proxy_pass http://$1.svc.example; }")),
        GOOD(R, SERVER("location ~ ^/p/([0-9]+)/ { proxy_pass http://web-$1; }")),
        GOOD(R, SERVER("location ~ ^/p(/.*)$ { proxy_pass http://backend$1; }")),
        GOOD(R, HTTP("map $arg_t $t { a 10.0.0.1; b 10.0.0.2; } server { location / { proxy_pass "
                     "http://$t; } }")),
        GOOD(R, HTTP("map $arg_t $t { default 10.0.0.3; a 10.0.0.1; } server { location / { "
                     "proxy_pass http://$t; } }")),
        GOOD(R, HTTP("map $http_x $t { ~^[a-z]+\\.example\\.com$ $http_x; } server { location / { "
                     "proxy_pass http://$t; } }")),
        GOOD(R, LOC("internal; proxy_pass http://$arg_u;")),
        GOOD(R, LOC("if ($arg_u !~ ^https://a\\.example/) { return 403; } proxy_pass $arg_u;")),
        GOOD(R, HTTP("server { listen 80 default_server; return 444; } server { listen 80; "
                     "server_name a.example; location / { proxy_pass http://$host; } }")),
        GOOD(R, LOC("set $t 10.0.0.1; proxy_pass http://$t:8080;")),
        GOOD(R, STREAM("map $ssl_preread_server_name $b { a.example 10.0.0.1:443; } server { "
                       "listen 443; proxy_pass $b; }")),
        GOOD(R, HTTP("split_clients $remote_addr $t { 50% 10.0.0.1; * 10.0.0.2; } server { "
                     "location / { proxy_pass http://$t; } }")),
        BAD(R, LOC("proxy_pass $http_x_scheme://10.0.0.1/a;")),
        BAD(R, LOC("proxy_pass \"${arg_s}://10.0.0.1\";")),
        GOOD(R, LOC("proxy_pass $scheme://10.0.0.1/a;")),
        GOOD(R, SERVER("location ~ ^/(http|https)/ { proxy_pass $1://10.0.0.1/a; }")),
        GOOD(R, SERVER("location ~ ^/([a-z]+)/ { proxy_pass $1://10.0.0.1/a; }")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(a_link_to_this_server_does_not_lead_elsewhere)
{
    static const sample all[] = {
#define R "open-redirect"
        BAD(R, LOC("return 302 $arg_url;")),
        BAD(R, LOC("return 301 https://$arg_h/x;")),
        BAD(R, SERVER("rewrite ^/go/(.*)$ http://$1 redirect;")),
        BAD(R, SERVER("location ~ ^/out/(.+)$ { return 302 https://$1; }")),
        GOOD(R, SERVER("return 301 https://$host$request_uri;")),
        GOOD(R, SERVER("return 301 https://$http_host$request_uri;")),
        GOOD(R, SERVER("return 301 https://www.example.com$request_uri;")),
        GOOD(R, SERVER("rewrite ^(.*)$ https://www.example.com$1 permanent;")),
        GOOD(R, SERVER("rewrite ^/(.*)$ https://www.example.com/$1 permanent;")),
        BAD(R, SERVER("rewrite ^/old(.*)$ https://www.example.com$1 permanent;")),
        GOOD(R, SERVER("rewrite ^(.*)$ https://$host$1 permanent;")),
        GOOD(R, SERVER("rewrite ^/old/(.*)$ /new/$1 permanent;")),
        GOOD(R, SERVER("rewrite ^/old/(.*)$ https://www.example.com/$1 permanent;")),
        GOOD(R, LOC("return 200 $arg_url;")),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(a_request_brings_no_line_feed_into_a_header)
{
    static const sample all[] = {
#define R "http-splitting"
        BAD(R, SERVER("return 301 https://$host$uri;")),
        BAD(R, SERVER("location / { return 302 https://a.example$document_uri; }")),
        BAD(R, SERVER("rewrite ^ http://a.example$uri;")),
        BAD(R, SERVER("rewrite ^/x$ https://a.example${uri}?y permanent;")),
        BAD(R, SERVER("location / { add_header X-Uri $uri; }")),
        BAD(R, SERVER("location / { proxy_set_header X-Uri \"$uri\"; }")),
        BAD(R, SERVER("location / { proxy_pass http://10.0.0.1$uri; }")),
        BAD(R, SERVER("location ~ /v1/(?<a>[^.]*)\\.json$ { add_header X-A $a; }")),
        BAD(R, SERVER("location ~ ^/x/([^/]*)/ { return 301 http://a.example/$1; }")),
        BAD(R, SERVER("location ~ ^/x/(\\S*\\s*)/ { proxy_pass http://10.0.0.1/$1; }")),
        BAD(R, SERVER("set $u $uri; location / { return 301 https://a.example$u; }")),
        BAD(R, HTTP("map $uri $m { ~^/([^/]*) $1; } server { add_header X $m; }")),
        GOOD(R, SERVER("return 301 https://$host$request_uri;")),
        GOOD(R, SERVER("location = /x { return 301 https://a.example$uri; }")),
        GOOD(R, SERVER("location / { return 200 \"$uri\"; }")),
        GOOD(R, SERVER("location / { return 404; }")),
        GOOD(R, SERVER("location ~ ^/x/(.*)$ { return 301 http://a.example/$1; }")),
        GOOD(R, SERVER("location ~ ^/x/([a-z]+)/ { add_header X $1; }")),
        GOOD(R, SERVER("location ~ ^/x/([^/\\s]+)/ { return 301 http://a.example/$1; }")),
        GOOD(R, SERVER("location / { add_header X $arg_x; proxy_set_header Y $http_y; }")),
        GOOD(R, SERVER("location / { try_files $uri $uri/ =404; }")),
        GOOD(R, SERVER("if ($request_uri ~ ^/([^?]*)) { return 301 https://a.example/$1; }")),
        GOOD(R, SERVER("rewrite ^/x/([^/]+)$ https://a.example/$1 permanent;")),
        GOOD(R, SERVER("rewrite ^ /index.php$uri last;")),
        GOOD(R, SERVER("location ~ ^/[a-z]+$ { return 301 https://a.example$uri; }")),
        BAD(R, LOC("more_set_headers -s 404 'X-A: b' 'X-B: $uri';")),
        GOOD(R, LOC("more_set_headers -s 404 'X-A: b' 'X-B: $request_uri';")),
        BAD(R, "set $a b; proxy_pass http://127.0.0.1$document_uri;"),
#undef R
    };
    RUN_ALL(all)
}

T_NO_OOM(a_check_of_the_origin_is_tied_to_both_ends)
{
    static const sample all[] = {
#define R "weak-origin-check"
        BAD(R, LOC("if ($http_origin ~* example\\.com) { return 204; }")),
        BAD(R, LOC("if ($http_origin ~ ^https://example\\.com) { return 204; }")),
        BAD(R, LOC("if ($http_origin ~ ^https://www.example\\.com$) { return 204; }")),
        BAD(R, HTTP("map $http_origin $o { ~example\\.com$ $http_origin; }")),
        GOOD(R, LOC("if ($http_origin ~ ^https://([a-z]+\\.)?example\\.com$) { return 204; }")),
        GOOD(R, LOC("if ($http_origin = https://example.com) { return 204; }")),
        GOOD(R, HTTP("map $http_origin $o { ~^https://example\\.com$ $http_origin; }")),
        GOOD(R, LOC("if ($http_user_agent ~ curl.x) { return 204; }")),
        GOOD(R, LOC("if ($http_origin !~ \"^https?://example\\.com/\") { return 403; }")),
        GOOD(R, LOC("if ($http_origin !~ '^https?:\\/\\/example\\.com\\/') { return 403; }")),
        GOOD(R, LOC("if ($http_referer !~ \"^https://example\\.com/shop\") { return 403; }")),
        GOOD(R, LOC("if ($http_referer !~ \"^https://example\\.com/.*$\") { return 403; }")),
        GOOD(R, LOC("if ($http_referer !~ \"^https://[^/]+\\.example\\.com/\") { return 403; }")),
        BAD(R, LOC("if ($http_referer !~ \"^https://example\\.com(.*)$\") { return 403; }")),
        BAD(R, LOC("if ($http_referer !~ \"^https://example\\.com.*$\") { return 403; }")),
        GOOD(R, LOC("if ($http_referer !~ \"^https://example\\.com(/|$)\") { return 403; }")),
        GOOD(R,
             LOC("if ($http_referer !~ \"^https://([^/]+\\.)?example\\.com/\") { return 403; }")),
        BAD(R, LOC("if ($http_referer !~ \"^https://example\\.com/?\") { return 403; }")),
        BAD(R, LOC("if ($http_referer !~ \"^https://.*\\.example\\.com/\") { return 403; }")),
        BAD(R, LOC("if ($http_referer !~ \"^https://a\\.example|b\\.example/\") { return 403; }")),
        BAD(R, LOC("if ($http_referer !~ \"^https://example.com/\") { return 403; }")),
#undef R
    };
    RUN_ALL(all)
}
