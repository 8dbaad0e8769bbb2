/*
 * Numbers as text, for people and for machines that read them back.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_NUMBER_H
#define OTR_BASE_NUMBER_H

#define OTR_F64_BYTES 32

/* The shortest of 15 to 17 digits that reads back as the same number, into `out`; returns `out`.
 * NaN and infinities as printf() writes them. */
const char *otr_f64_text(char out[OTR_F64_BYTES], double value);

#endif
