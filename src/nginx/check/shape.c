#include "nginx/check/pattern.h"

otr_shape otr_shape_any(void)
{
    otr_set all = otr_set_all();
    return (otr_shape){
        .chars = all, .first = all, .last = all, .texts = OTR_PATTERN_MANY, .nullable = true
    };
}

otr_shape otr_shape_empty(void)
{
    return (otr_shape){ .texts = 1, .nullable = true, .fixed = true };
}

otr_shape otr_shape_byte(uint8_t c)
{
    otr_shape s = { .texts = 1, .head = 1, .tail = 1, .single = true, .fixed = true };
    otr_set_add(&s.chars, c);
    s.first = s.last = s.chars;
    return s;
}

static uint32_t bounded(uint64_t texts)
{
    return texts < OTR_PATTERN_MANY ? (uint32_t)texts : OTR_PATTERN_MANY;
}

static bool is_nothing(const otr_shape *s)
{
    return s->fixed && s->head == 0;
}

/* The bytes of which a text alone can be both: one repeated in `loop`, and what stands beside it.
 */
static otr_set pump_with(const otr_shape *loop, const otr_shape *beside)
{
    otr_set none = { 0 };
    return beside->nullable ? loop->pump
           : beside->single ? otr_set_and(loop->pump, beside->chars)
                            : none;
}

static void set_edges(otr_shape *s, const otr_shape *a, const otr_shape *b)
{
    s->first = a->nullable ? otr_set_or(a->first, b->first) : a->first;
    s->last = b->nullable ? otr_set_or(a->last, b->last) : b->last;
    s->head = a->fixed ? a->head + b->head : a->head;
    s->tail = b->fixed ? a->tail + b->tail : b->tail;
    s->from_start = a->from_start || (is_nothing(a) && b->from_start);
    s->to_end = b->to_end || (a->to_end && is_nothing(b));
}

otr_shape otr_shape_then(const otr_shape *a, const otr_shape *b)
{
    otr_shape s = {
        .chars = otr_set_or(a->chars, b->chars),
        .texts = bounded((uint64_t)a->texts * b->texts),
        .nullable = a->nullable && b->nullable,
        .single = (is_nothing(a) && b->single) || (a->single && is_nothing(b)),
        .fixed = a->fixed && b->fixed,
        .pumps = (a->pumps && b->nullable) || (a->nullable && b->pumps),
        .pump = otr_set_or(pump_with(a, b), pump_with(b, a)),
    };
    s.pumps |= !otr_set_is_empty(s.pump);
    set_edges(&s, a, b);
    return s;
}

otr_shape otr_shape_either(const otr_shape *a, const otr_shape *b)
{
    bool overlap = a->single && b->single && !otr_set_is_empty(otr_set_and(a->chars, b->chars));
    return (otr_shape){
        .chars = otr_set_or(a->chars, b->chars),
        .first = otr_set_or(a->first, b->first),
        .last = otr_set_or(a->last, b->last),
        .texts = bounded((uint64_t)a->texts + b->texts),
        .nullable = a->nullable || b->nullable,
        .single = a->single && b->single,
        .pumps = a->pumps || b->pumps || overlap,
        .pump = otr_set_or(a->pump, b->pump),
        .from_start = a->from_start && b->from_start,
        .to_end = a->to_end && b->to_end,
    };
}
