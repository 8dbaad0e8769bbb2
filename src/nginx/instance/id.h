/*
 * Ids: the MD5 UUIDs (RFC 4122 version 3) by which a management plane knows an instance.
 *
 * MD5 is an identifier here and protects nothing; the ids have to equal those of NGINX Agent.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_INSTANCE_ID_H
#define OTR_NGINX_INSTANCE_ID_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/instance/instance.h"

enum { OTR_MD5_BYTES = 16 };

/* RFC 1321. */
void otr_nginx_md5(otr_bytes data, uint8_t ret[OTR_MD5_BYTES]);

/* The version 3 UUID, in the nil name space, of the hex SHA-256 of `name`; returns `out`. */
const char *otr_nginx_uuid(otr_bytes name, char out[OTR_NGINX_ID_BYTES]);

/* The instance id: the UUID of "<binary>_<config>_<prefix>". */
otr_code otr_nginx_instance_id(const char *binary, const char *config, const char *prefix,
                               char out[OTR_NGINX_ID_BYTES], otr_err *err) OTR_MUST_CHECK;

#endif
