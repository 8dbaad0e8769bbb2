/* Echo as small waPC guests do it: the request goes to one buffer, which is the response. */
typedef unsigned u32;

#define WAPC(name) __attribute__((import_module("wapc"), import_name(name)))

WAPC("__guest_request") void wapc_guest_request(void *operation, void *request);
WAPC("__guest_response") void wapc_guest_response(const void *p, u32 n);

enum { ROOM = 17 << 20 };
static char operation[64], request[ROOM];

__attribute__((export_name("__guest_call"))) u32 guest_call(u32 operation_n, u32 request_n)
{
    if (operation_n > sizeof(operation) || request_n > sizeof(request)) {
        return 0;
    }
    wapc_guest_request(operation, request);
    wapc_guest_response(request, request_n);
    return 1;
}
