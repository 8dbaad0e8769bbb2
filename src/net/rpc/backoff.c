#include "net/rpc/backoff.h"

enum { INITIAL_MS = 1000, MAX_MS = 20000 };
static const double usual_multiplier = 3;

uint64_t otr_rpc_backoff_next(otr_rpc_backoff *backoff, uint32_t chance)
{
    double initial = (double)(backoff->initial_ms > 0 ? backoff->initial_ms : INITIAL_MS);
    double most = (double)(backoff->max_ms > 0 ? backoff->max_ms : MAX_MS);
    double factor = backoff->multiplier >= 1 ? backoff->multiplier : usual_multiplier;
    double spread = backoff->randomization;
    spread = spread > 0 ? (spread < 1 ? spread : 1) : 0; /* NaN is 0 */
    double base = backoff->next_ms > 0 ? backoff->next_ms : initial;
    base = base < most ? base : most;
    backoff->next_ms = base * factor < most ? base * factor : most;
    double wait = base * (1 - spread + 2 * spread * ((double)chance / (double)UINT32_MAX));
    wait = wait < most ? wait : most;
    return wait >= 1 ? (uint64_t)wait : 1;
}

void otr_rpc_backoff_reset(otr_rpc_backoff *backoff)
{
    backoff->next_ms = 0;
}
