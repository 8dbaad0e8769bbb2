#include "nginx/check/der.h"

bool otr_der_next(otr_bytes *rest, otr_der *ret)
{
    if (rest->n < 2 || (rest->p[0] & 0x1f) == 0x1f) { /* tags of several bytes do not occur */
        return false;
    }
    size_t head = 2, n = rest->p[1];
    if (n >= 0x80) {
        size_t digits = n & 0x7fU;
        if (digits == 0 || digits > 4 || rest->n < 2 + digits) {
            return false;
        }
        n = 0;
        for (size_t i = 0; i < digits; i++) {
            n = n << 8 | rest->p[2 + i];
        }
        head += digits;
    }
    if (rest->n - head < n) {
        return false;
    }
    ret->tag = rest->p[0];
    ret->all = (otr_bytes){ rest->p, head + n };
    ret->value = (otr_bytes){ rest->p + head, n };
    *rest = (otr_bytes){ rest->p + head + n, rest->n - head - n };
    return true;
}

bool otr_der_take(otr_bytes *rest, uint8_t tag, otr_der *ret)
{
    otr_bytes before = *rest;
    if (otr_der_next(rest, ret) && ret->tag == tag) {
        return true;
    }
    *rest = before;
    return false;
}

static bool two_digits(otr_bytes text, size_t at, int *ret)
{
    uint8_t a = text.p[at], b = text.p[at + 1];
    if (a < '0' || a > '9' || b < '0' || b > '9') {
        return false;
    }
    *ret = (a - '0') * 10 + (b - '0');
    return true;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t days_to(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "YYMMDDHHMMSSZ", of the longer kind with two digits more in front. */
static bool is_time(const otr_der *time, size_t skip)
{
    return (time->tag == OTR_DER_TIME || time->tag == OTR_DER_UTC_TIME) &&
           time->value.n == 13 + skip && time->value.p[12 + skip] == 'Z';
}

bool otr_der_time(const otr_der *time, int64_t *ret)
{
    bool is_long = time->tag == OTR_DER_TIME;
    size_t skip = is_long ? 2 : 0;
    int part[6], century = 0;
    if (!is_time(time, skip) || (is_long && !two_digits(time->value, 0, &century))) {
        return false;
    }
    for (size_t i = 0; i < OTR_COUNT(part); i++) {
        if (!two_digits(time->value, skip + 2 * i, &part[i])) {
            return false;
        }
    }
    int year = is_long ? century * 100 + part[0] : part[0] + (part[0] < 50 ? 2000 : 1900);
    if (part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31) {
        return false;
    }
    *ret = days_to(year, part[1], part[2]) * 86400 + part[3] * 3600 + part[4] * 60 + part[5];
    return true;
}
